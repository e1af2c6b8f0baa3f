"""The sample set as an archive and as a notebook, and a class that hands in all kinds of things."""

from __future__ import annotations

import ast
import base64
import builtins
import copy
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MASTER = HERE / "sample.md"
STUBS = {"q1": "total = ...\nlargest = ...", "q2": "def distance(x, y):\n    ...", "q3": "doubled = ...", "q4": "_Type your answer here, replacing this text._"}
RIGHT = {"q1": "total = sum(numbers)\nlargest = max(numbers)", "q2": "def distance(x, y):\n    return abs(x - y)", "q3": "doubled = 2 * np.array(numbers)",
         "q4": "Only if the networks are the numbers."}


# --- the set ---------------------------------------------------------------------------------------


def doctest_table(question: Any, hidden: bool = True) -> dict[str, Any]:
    """A question's checks in otter's usual format."""
    cases = []
    for test in (test for test in question.tests if hidden or not test.hidden):
        lines = []
        for node in ast.parse(test.code).body:
            lines += [(">>> " if k == 0 else "... ") + line for k, line in enumerate(ast.unparse(node).splitlines())]
        cases.append({"code": f">>> # {test.title}\n" + "\n".join(lines), "hidden": test.hidden, "locked": False})
    suite = {"cases": cases, "scored": True, "setup": "", "teardown": "", "type": "doctest"}
    return {"name": question.name, "points": question.points, "suites": [suite]}


def doctest_file(question: Any) -> str:
    """A test file in otter's usual format."""
    return f"OK_FORMAT = True\n\ntest = {doctest_table(question)!r}\n"


def function_file(question: Any, hidden: bool = True) -> str:
    """A test file in otter's other format."""
    lines = ["from otter.test_files import test_case", "OK_FORMAT = False", f'name = "{question.name}"', f"points = {question.points}"]
    for k, test in enumerate(question.tests):
        if test.hidden and not hidden:
            continue
        nodes = [node for node in ast.walk(ast.parse(test.code)) if isinstance(node, ast.Name)]
        bound = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
        needed = sorted({node.id for node in nodes} - bound - set(dir(builtins)))
        lines += [f"@test_case(name={test.title!r}, points=None, hidden={test.hidden})", f"def check_{k + 1}({', '.join(needed)}):"]
        lines += ["    " + line for line in test.code.splitlines()]
    return "\n".join(lines) + "\n"


def write_archive(path: Path, master: Any) -> Path:
    """An autograder archive: the first question in otter's usual format, the others as functions."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, question in master.questions.items():
            if question.tests:
                archive.writestr(f"tests/{name}.py", doctest_file(question) if name == "q1" else function_file(question))
        archive.writestr("otter_config.json", "{}")
    return path


def cell(kind: str, source: str, **metadata: Any) -> dict[str, Any]:
    """A cell of a notebook."""
    made: dict[str, Any] = {"cell_type": kind, "metadata": metadata, "source": source, "id": f"c{abs(hash((kind, source))) % 10**8}"}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def notebook(master: Any, student: int | str = 0, answers: dict[str, str] | None = None) -> dict[str, Any]:
    """A student's notebook; what `answers` does not name is blank."""
    answers = {**STUBS, **(answers or {})}
    checks = {q.name: doctest_table(q, False) if q.name == "q1" else function_file(q, False) for q in master.questions.values() if q.tests}
    carried = base64.b64encode(zlib.compress(json.dumps(checks).encode())).decode()
    cells = []
    for part in master.parts:
        if not hasattr(part, "cells"):
            cells.append(cell(part.kind, f"student = {student!r}   # your student number" if "student" in part.tags else part.source))
            continue
        cells += [cell(c.kind, c.source) for c in part.cells if c.role != "solution"]
        cells.append(cell("markdown" if part.manual else "code", answers[part.name], tags=["otter_answer_cell"]))
        cells += [cell("code", f'grader.check("{part.name}")')] if part.tests else []
    start = cell("code", f'import otter\nchecks = "{carried}"\ngrader = otter.Notebook()', tags=["checks"])
    return {"cells": [cells[0], start, *cells[1:]], "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "otter": {"assignment_name": master.name}}, "nbformat": 4, "nbformat_minor": 5}


def after(book: dict[str, Any], text: str, *cells: str, before: bool = False) -> dict[str, Any]:
    """A notebook with code cells put behind (or before) the cell that holds a text."""
    book = copy.deepcopy(book)
    at = next(k for k, c in enumerate(book["cells"]) if text in c["source"]) + (not before)
    book["cells"][at:at] = [cell("code", source) for source in cells]
    return book


def without(book: dict[str, Any], *texts: str) -> dict[str, Any]:
    """A notebook without the cells that hold one of the texts."""
    return {**book, "cells": [c for c in book["cells"] if not any(text in c["source"] for text in texts)]}


# --- the class -------------------------------------------------------------------------------------

WRONG = {"q1": "total = 1\nlargest = 2", "q2": "def distance(x, y):\n    return x + y", "q3": "doubled = 7"}
IGNORES_INTERRUPTS = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
LIAR = ("class Liar(float):\n    def __sub__(self, other): return 0.0\n    __rsub__ = __sub__\n    def __eq__(self, other): return True\n"
        "    __hash__ = None\ntotal = Liar(1.0)\nlargest = Liar(1.0)")
AT_CHECK_TIME = ("def distance(x, y):\n    import deeplimits.coursework as tools\n    tools._fail.__code__ = (lambda *given: None).__code__\n    return 0.0")
FAKES = ("import numpy.testing\nnothing = lambda *given, **named: None\ncw.expect_close = nothing\nnumpy.testing.assert_allclose = nothing\n"
         "import otter\notter.Notebook.check = nothing\ngrader.check = nothing")
IMITATION = "class cw:\n    expect_close = staticmethod(lambda *given, **named: None)"
FORGED = ("import json, os, pickle\nfor name in ('results.json', '../results.json', 'results/results.json'):\n"
          "    os.makedirs(os.path.dirname(name) or '.', exist_ok=True)\n"
          "    json.dump({'score': 100, 'q1': 2, 'q2': 3, 'q3': 2}, open(name, 'w'))\npickle.dump([1], open('results.pkl', 'wb'))\n"
          "for number in range(3, 20):\n    try:\n        os.write(number, b'{\"passed\": true, \"message\": \"\"}\\n')\n    except OSError:\n        pass")


def the_class(master: Any) -> dict[str, tuple[bytes, dict[str, float], str]]:
    """File name -> (content, points of the questions with checks, status)."""
    made: dict[str, tuple[bytes, dict[str, float], str]] = {}

    def add(name: str, book: dict[str, Any] | bytes, points: tuple[float, float, float], status: str = "ok") -> None:
        data = book if isinstance(book, bytes) else json.dumps(book).encode()
        made[name] = data, dict(zip(("q1", "q2", "q3"), points, strict=True)), status

    def full(student: int, **other: str) -> dict[str, Any]:
        return notebook(master, student, {**RIGHT, **other})

    add("10001.ipynb", full(10001), (2, 3, 2))
    add("10002_sample.ipynb", full(10002, q2="def distance(x, y):\n    return y - x"), (2, 2, 2))
    add("10003.ipynb", notebook(master, 10003), (0, 0, 0))
    add("10004.ipynb", full(10004, q2="def distance(x, y:\n    return abs(x - y)"), (2, 0, 2))
    add("10005.ipynb", full(10005, q2="while True:\n    pass"), (2, 0, 2), "timed out")
    add("10006.ipynb", full(10006, q2=IGNORES_INTERRUPTS), (2, 0, 2), "timed out")
    add("10007.ipynb", full(10007, q2="def distance(x, y):\n    while x < y:\n        pass\n    return x - y"), (2, 0, 2), "timed out")
    add("10008.ipynb", full(10008, q1=RIGHT["q1"] + "\nprint('x' * 100_000_000)"), (2, 3, 2), "too much output")
    add("10009.ipynb", after(full(10009), "doubled =", "hoard = []\nwhile True:\n    hoard.append(np.ones(2_000_000))"), (2, 3, 2), "out of memory")
    add("10010.ipynb", after(full(10010), "def distance", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"), (2, 3, 2), "crashed")
    add("10011.ipynb", after(full(10011), "total =", "import sys\nsys.exit(3)", "exit()", "input('your marks: ')", "import os\nos.fork()"), (2, 3, 2))
    add("10012.ipynb", after(full(10012, **WRONG), "total =", FAKES, before=True), (0, 0, 0), "tampering found")
    add("10013.ipynb", after(full(10013, **WRONG), "total =", IMITATION, before=True), (0, 0, 0), "tampering found")
    add("10014.ipynb", full(10014, q1=LIAR), (0, 3, 2), "tampering found")
    add("10015.ipynb", full(10015, q2=AT_CHECK_TIME), (2, 0, 2), "tampering found")
    edited = full(10016, **WRONG)
    edited["metadata"]["otter"] |= {"OK_FORMAT": False, "tests": {"q3": function_file(master.questions["q3"]).replace("cw.expect_close", "print")}}
    add("10016.ipynb", edited, (0, 0, 0), "tampering found")
    add("10017.ipynb", without(full(10017), "grader", "import numpy"), (0, 3, 0))
    add("10018.ipynb", after(full(10018), 'check("q1")', "student = 10001\nnumbers = tuple(cw.number(student, f'sample {k}', 1, 9) for k in range(4))"),
        (2, 3, 0), "wrong number")
    add("10019.ipynb", full(10001), (0, 3, 0), "wrong number")
    add("10020.ipynb", full(0), (0, 3, 0), "wrong number")
    add("10021.ipynb", after(full(10021), "total =", "numbers = (1, 1, 1, 1)", "total, largest = 4, 1"), (0, 3, 0))
    add("10022.ipynb", after(full(10022, **WRONG), "total =", FORGED), (0, 0, 0), "tampering found")
    add("10023.ipynb", after(full(10023), "total =", "with open('big', 'wb') as file:\n    while True:\n        file.write(bytes(1_000_000))"),
        (2, 3, 2), "too much output")
    add("10028.ipynb", after(full(10028), "total =", "for k in range(20):\n    open(f'part{k}', 'wb').write(bytes(8_000_000))"), (2, 3, 2), "too much output")
    add("10024.ipynb", b"<html><body>Please log in</body></html>", (0, 0, 0), "unreadable")
    add("10025.ipynb", b"", (0, 0, 0), "unreadable")
    add("doejane_10026_555_sample.ipynb", full(10026, **WRONG), (2, 3, 2))
    add("doejane_LATE_10026_777_sample-1.ipynb", full(10026), (2, 3, 2))
    add("10027.pdf", b"%PDF-1.7", (0, 0, 0), "unreadable")
    return made

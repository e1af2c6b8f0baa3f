"""The desk: reading and running masters, and what is made of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from desk import assemble, booklet, masters, overlay
from desk.__main__ import main
from desk.masters import Cell, FormatError, Master
from otter.assign import solutions
from otter.test_files.exception_test import ExceptionTestFile

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = Path(__file__).parent / "sample"
HEADER = "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n---\n\n"


def raw(text: str) -> str:
    return f"```{{raw-cell}}\n{text}\n```\n\n"


def code(text: str, tag: str = "") -> str:
    return "```{code-cell} ipython3\n" + (f":tags: [{tag}]\n\n" if tag else "") + text + "\n```\n\n"


def question(name: str, solution: str, *tests: str, head: str = "points: 2", given: str = "") -> str:
    solved = raw("# BEGIN SOLUTION") + solution + raw("# END SOLUTION") if solution else ""
    checked = raw("# BEGIN TESTS") + "".join(map(code, tests)) + raw("# END TESTS") if tests else ""
    return raw(f"# BEGIN QUESTION\nname: {name}\n{head}") + f"### {name}\n\nSee [there](book:part1/layer-maps.html).\n\n" \
        + (code(given) if given else "") + solved + checked + raw("# END QUESTION")


START = HEADER + raw('# ASSIGNMENT CONFIG\nname: open-try\ntitle: "A try"') + "# A try\n\n" + code("student = 0", "student")
A1 = "a = [student] * 2  # SOLUTION\nhelper = 3  # SOLUTION NO PROMPT\ndef f(x):\n    # BEGIN SOLUTION\n    return x + helper\n    # END SOLUTION"
Q1 = question("q1", code(A1),
              '# a\nassert a == [student, student], "a: expected twice the number, came something else. See there."', "# HIDDEN\n# f\nassert f(1) == 4")
Q2 = question("q2", code("b = f(a[0])  # SOLUTION"), '# b\nassert b == student + 3, "b"', given="c = 5")
Q3 = question("q3", "**Rubric** and **Sample answers**: secret.\n\n", head="points: 4\nmanual: true")
TRY = START + code("import math") + Q1 + Q2 + Q3


@pytest.fixture(scope="module")
def tried() -> Master:
    return masters.reads(TRY)


# --- reading ---------------------------------------------------------------------------------------


def test_a_master_is_read(tried: Master) -> None:
    assert (tried.name, tried.title, tried.points) == ("open-try", "A try", 8)
    q1, q2, q3 = tried.questions.values()
    assert [test.hidden for test in q1.tests] == [False, True] and [test.title for test in q1.tests] == ["a", "f"]
    assert q1.prompt.startswith("### q1") and q1.title == "q1" and not q1.manual and len(q1.solution) == 1
    assert [cell.source for cell in q2.cells if cell.role == "given"] == ["c = 5"]
    assert q3.manual and not q3.tests and "secret" in q3.notes and "secret" not in q3.prompt
    assert [part.tags for part in tried.parts if isinstance(part, Cell) and part.tags] == [("student",)]


@pytest.mark.parametrize(("text", "words"), [
    (HEADER + code("student = 0", "student") + Q1, "needs a name"),
    (START, "no question"),
    (START + Q1 + Q1, "two questions of one name: q1"),
    (START.replace("[student]", "[other]") + Q1, "exactly one code cell has the tag student"),
    (START.replace("student = 0", "student = 5") + Q1, "holds `student = 0"),
    (START + raw("# BEGIN QUESTION\nname: q1\npoints: 2"), "BEGIN QUESTION without END"),
    (START + raw("# BEGIN TESTS"), "BEGIN TESTS outside a question"),
    (START + raw("# END SOLUTION"), "END SOLUTION without BEGIN"),
    (START + raw("# BEGIN QUESTION\nname: q1\npoints: 2") + raw("# BEGIN TESTS") + raw("# END SOLUTION"), "END SOLUTION closes BEGIN TESTS"),
    (START + raw("# Begin here") + Q1, "no keyword"),
    (START + question("q1", code("..."), "# t\nassert 1", head="points: 0"), "points must be a positive number; got 0"),
    (START + question("q1", code("..."), "# t\nassert 1", head="points: 2\nmaunal: true"), "unknown in BEGIN QUESTION: maunal"),
    (START + question("q1", code("...")), "q1 has no checks and is not manual"),
    (START + question("q1", code("..."), "# t\nassert 1", head="points: 2\nmanual: true"), "judged by a person and has checks"),
    (START + question("q1", code("..."), "assert True"), "begins with a comment that names it"),
    (START + question("q1", code("..."), "# t"), "an empty check"),
    (START + question("q1", code("..."), "# t\nassert ("), "a check with a syntax error"),
    (START + question("q1", code("..."), "# two hidden layers\nassert True"), "the word 'hidden' in the first line hides"),
])
def test_what_breaks_the_format_is_named(text: str, words: str) -> None:
    with pytest.raises(FormatError, match=re.escape(words)):
        masters.reads(text)


@pytest.mark.parametrize("source", [
    "a = 1  # SOLUTION", "a, b[0] = 1, 2 # SOLUTION", "print(a)  # SOLUTION", "    return a  # SOLUTION", "x = 1  # SOLUTION NO PROMPT\ny = 2",
    "def f():\n    # BEGIN SOLUTION\n    a = 1\n    return a\n    # END SOLUTION", "# BEGIN SOLUTION NO PROMPT\nb = 1\n# END SOLUTION\nc = 2",
    "x = {'a': 1}['a']  # SOLUTION", "x.y['a b'] = 3  # SOLUTION", "for i in a:  \n    b = i  # SOLUTION\n    c = 1",
])
def test_the_stub_is_the_one_that_otter_makes(source: str) -> None:
    assert masters.stripped(source) == "\n".join(solutions.replace_solutions(source.split("\n"), "python"))


def test_the_stubs_of_all_sets_are_those_that_otter_makes() -> None:
    for one in assemble.public_sets():
        for asked in one.public.questions.values():
            for source in asked.solution:
                assert masters.stripped(source) == "\n".join(solutions.replace_solutions(source.split("\n"), "python"))


# --- running ---------------------------------------------------------------------------------------


def test_solution_blank_and_other_answers(tried: Master) -> None:
    assert masters.run(tried).marks == masters.run(tried).points == 4
    blank = masters.run(tried, masters.blank(tried))
    assert blank.marks == 0 and not any(check.passed for q in blank.questions.values() for check in q.checks)
    part = masters.run(tried, {"q1": "a = [student, student]\nf = lambda x: x"})
    assert (part.questions["q1"].marks, part.questions["q2"].marks) == (1, 0)
    title, passed, message = part.questions["q1"].checks[1]
    assert (title, passed) == ("f", False) and message == "a check failed without a message"
    with pytest.raises(KeyError, match="q9"):
        masters.run(tried, {"q9": "pass"})


@pytest.mark.parametrize("answer", ["raise ValueError('no')", "1 / 0", "def f(:", "import sys\nsys.exit()", "exit_now"])
def test_an_answer_that_fails_counts_as_unanswered(tried: Master, answer: str) -> None:
    outcome = masters.run(tried, {"q1": answer, "q2": "b = 3"})
    assert outcome.questions["q1"].marks == 0 and outcome.questions["q1"].error
    assert outcome.questions["q2"].marks == 2, "later questions go on"


def test_other_students(tried: Master) -> None:
    assert masters.run(tried, student=7).marks == 4
    assert masters.run(tried, {"q1": "a = [0, 0]\nf = lambda x: x + 3"}, student=7).questions["q1"].marks == 1


def test_answers_are_tried_without_touching_each_other(tried: Master) -> None:
    others = {"q2": [("moves the list", "a.append(1)\nf = 3\nb = 0"), ("fine", "b = f(student)"), ("asks a helper", "helper = 4\nb = f(0)")]}
    outcome, results = masters.compare(tried, others)
    assert outcome.marks == 4
    assert [answer.marks for _, answer in results["q2"]] == [0, 2, 0], "a function of the set sees the names of the answer that is tried"


def test_a_check_changes_nothing_for_others() -> None:
    spoils = question("q1", code("a = 1  # SOLUTION"), "# one\na2 = a\na2 += 1\nassert a2 == 2", "# two\nassert a == 1", "# three\nassert 'a2' not in globals()")
    assert masters.run(masters.reads(START + spoils)).marks == 2


def test_a_check_takes_what_it_needs_as_arguments() -> None:
    test = masters.Test("# t\ny = [z for z in range(n)]\nassert max(y) < bound and (lambda q: q + shift)(1), f'{name!r}'", False, "t")
    text, needed = masters.as_function(test, "check_1")
    assert needed == ["bound", "n", "name", "shift"] and text.startswith("def check_1(bound, n, name, shift):")


def test_running_leaves_the_process_as_it_was() -> None:
    import numpy as np
    import torch

    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), torch.get_default_dtype()  # noqa: NPY002
    changes = code("import torch, numpy as np\ntorch.manual_seed(9)\nnp.random.seed(3)\ntorch.set_default_dtype(torch.float64)\nprint('loud')")
    masters.run(masters.reads(START + changes + Q1))
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), torch.get_default_dtype()  # noqa: NPY002
    assert before[0].equal(after[0]) and before[1:] == after[1:]


def test_examine_finds_every_fault() -> None:
    loose = question("q1", code("a = 1  # SOLUTION"), "# not none\nassert a is not None", '# one\nassert a == 1, "a: expected 1, came another. See there."')
    wrong = {"q1": [("two", "a = 2"), ("the right one", "a = 1")]}
    _, faults = masters.examine(masters.reads(START + loose), wrong)
    assert len(faults) == 2 and "blank" in faults[0] and "the right one" in faults[1]
    silent = question("q1", code("a = 1  # SOLUTION"), "# one\nassert a == 1")
    _, faults = masters.examine(masters.reads(START + silent), {"q1": [("two", "a = 2")]})
    assert faults == ["open-try: no message says what was expected, what came and where to read"]
    _, faults = masters.examine(masters.reads(START + silent.replace("a = 1  # SOLUTION", "a = 3  # SOLUTION")))
    assert faults == ["open-try: solution: 0 of 2"]


def test_the_command_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "try.md").write_text(TRY)
    (tmp_path / "answers.py").write_text('WRONG = {"open-try": {"q1": [("swaps", "a = 2")]}}')
    assert main(["check", str(tmp_path / "try.md"), "--wrong", str(tmp_path / "answers.py")]) == 0
    said = capsys.readouterr().out
    assert "solution: 2 of 2" in said and "blank: 0" in said and "wrong, swaps: 0" in said and "expected twice the number" in said
    (tmp_path / "bad.md").write_text(START)
    assert main(["check", str(tmp_path / "bad.md")]) == 1
    assert "no question" in capsys.readouterr().err


# --- what is made ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tried: Master) -> Path:
    """The files of the small set, made twice by the real otter."""
    folder = tmp_path_factory.mktemp("made")
    for again in ("first", "second"):
        assemble.build_one(assemble.Set(tried, tried, True), folder / again, solutions=False)
    return folder


def student_notebook(folder: Path, name: str = "open-try") -> Any:
    import nbformat

    return nbformat.read(folder / "student" / f"{name}.ipynb", 4)


def test_two_builds_give_the_same_bytes(made: Path) -> None:
    files = sorted(path.relative_to(made / "first") for path in (made / "first").rglob("*") if path.is_file())
    assert [str(file) for file in files] == ["autograder/open-try.zip", "student/open-try.ipynb"]
    for file in files:
        assert (made / "first" / file).read_bytes() == (made / "second" / file).read_bytes()


def test_the_students_notebook_has_no_solution(made: Path, tried: Master) -> None:
    import nbformat

    notebook = student_notebook(made / "first")
    nbformat.validate(notebook)
    sources = [cell.source for cell in notebook.cells]
    text = json.dumps(notebook)
    for secret in ("secret", "SOLUTION", "HIDDEN", "x + helper", "[student] * 2", "book:", "assert f(1)"):
        assert secret not in text, secret
    assert "\n".join(masters.stub(tried.questions["q1"])) in sources
    assert 'grader.check("q1")' in sources and 'grader.check("q3")' not in sources
    assert any("Type your answer here" in source for source in sources), "a cell for the answer that a person judges"
    assert any("book/part1/layer-maps.html" in source for source in sources)
    assert all(cell.cell_type != "raw" for cell in notebook.cells)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    assert len({cell.id for cell in notebook.cells}) == len(sources)
    assert set(notebook.metadata) == {"kernelspec", "language_info", "colab", "otter"}


def test_the_students_notebook_carries_its_public_checks(made: Path, tried: Master) -> None:
    files = assemble.packed_checks(student_notebook(made / "first"))
    assert set(files) == {"q1", "q2"}
    assert all("hidden=True" not in text and text.isascii() for text in files.values())
    assert "f(1)" not in files["q1"] and "name='a'" in files["q1"]


def test_the_checks_work_in_otter_as_they_do_here(made: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(made / "first" / "autograder" / "open-try.zip") as archive:
        names = set(archive.namelist())
        file = ExceptionTestFile.from_string(archive.read("tests/q1.py").decode())
        environment = archive.read("environment.yml").decode()
    assert {"run_autograder", "run_otter.py", "setup.sh", "environment.yml", "otter_config.json", "tests/q1.py", "tests/q2.py"} == names
    assert f"deeplimits @ git+{assemble.repository()}" in environment and "pytorch-cpu" in environment and "torch==" not in environment
    for names, score in (({"a": [0, 0], "f": lambda x: x + 3}, 2), ({"a": [0, 0], "f": abs}, 1), ({}, 0), ({"a": ..., "f": ...}, 0)):
        file.run({"student": 0, **names})
        assert file.score == score
    assert "expected twice the number, came something else. See there." in file.summary()


def test_checks_with_greek_letters_are_written_in_plain_ascii(tried: Master) -> None:
    from dataclasses import replace

    greek = replace(tried.questions["q1"], tests=(masters.Test("# σ²\nassert True", False, "σ²"),))
    text = assemble.named("@test_case(points=None, hidden=False)\ndef check_1():\n    assert True, 'σ²'", greek)
    assert text.isascii() and eval(re.findall(r"name=('[^']*')", text)[0]) == "σ²" and eval(text.rsplit(", ", 1)[1]) == "σ²"


def test_the_set_up_cell_installs_what_is_missing_and_nothing_else(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import importlib.util

    called: list[list[str]] = []

    def fake(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        called.append(command)
        limits.append(Path(command[command.index("-c") + 1]).read_text())
        return subprocess.CompletedProcess(command, 0, "", "")

    limits: list[str] = []
    find = importlib.util.find_spec
    text = assemble.set_up()
    monkeypatch.setattr(subprocess, "run", fake)
    exec(text, {"__name__": "__main__"})
    assert not called or not find("otter"), "everything is here: nothing is installed"
    assert "deeplimits" in capsys.readouterr().out
    called.clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None if name == "otter" else find(name, package))
    exec(text, {"__name__": "__main__"})
    assert len(called) == 1 and called[0][-1].startswith("otter-grader")
    assert "torch==" in limits[-1] and "numpy==" in limits[-1], "pip keeps the versions that are installed"
    assert "myst_nb" not in text and "import otter" not in text


def test_links_lead_to_the_published_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPLIMITS_SITE_URL", "https://example.org/book-of-limits")
    assert assemble.linked("[a](book:part1/x.html#y) [b](other)") == "[a](https://example.org/book-of-limits/book/part1/x.html#y) [b](other)"


def test_sets_are_chosen_by_name_or_by_part() -> None:
    assert assemble.chosen("open-part1", ["part1"]) and assemble.chosen("graded-part1", ["part1"]) and assemble.chosen("open-part1", [])
    assert assemble.chosen("open-part1", ["open-part1"]) and not assemble.chosen("graded-part1", ["open-part1"])


# --- the booklet -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A booklet of one set with formulas, not executed."""
    folder = tmp_path_factory.mktemp("printed")
    master = masters.read(SAMPLE / "public" / "graded" / "sample.md")
    graded, missing = overlay.merge(master, SAMPLE / "private" / "graded-sample")
    assert not missing
    (folder / "graded-sample.ipynb").write_text(assemble._written(assemble.for_reader(graded)))
    return booklet.write(folder)


def test_the_booklet_shows_solutions_rubrics_and_checks(printed: Path) -> None:
    page = printed.read_text()
    assert "Sample set: means and maxima" in page and "Sample answers" in page and "4 points" in page
    assert page.count('<details class="checked">') == 2 and "hidden from the student" in page
    assert "BEGIN SOLUTION" not in page and "# SOLUTION" not in page


def test_the_booklet_needs_no_other_file_and_no_host(printed: Path) -> None:
    page = re.sub(r"<script>.*?</script>", "", printed.read_text(), flags=re.DOTALL)
    assert not re.search(r"<script|<link|<iframe|@import|\bsrc=\"(?!data:)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert all(link.startswith("http") or link[1:] in ids for link in re.findall(r'<a [^>]*href="([^"]+)"', page))


@pytest.mark.browser
def test_the_booklet_draws_its_formulas_and_asks_nobody(printed: Path, chromium: Any) -> None:
    page = chromium.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: complaints.append(line.text))
    page.goto(printed.as_uri())
    page.wait_for_selector("mjx-container svg")
    assert page.locator("mjx-container").count() >= 5 and page.locator("mjx-merror").count() == 0
    assert asked == [printed.as_uri()] and not complaints
    page.close()


# --- long runs -------------------------------------------------------------------------------------


def otter_score(archive: Path, notebook: Path, folder: Path) -> tuple[float, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "otter", "run", "-a", str(archive), "-o", str(folder), "--no-logo", str(notebook)]
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)
    tests = json.loads((folder / "results.json").read_text())["tests"]
    scored = [test for test in tests if "max_score" in test]
    return sum(test["score"] for test in scored), sum(test["max_score"] for test in scored)


@pytest.mark.slow
def test_otter_run_gives_the_marks(made: Path, tried: Master, tmp_path: Path) -> None:
    archive = made / "first" / "autograder" / "open-try.zip"
    notebook = student_notebook(made / "first")
    for name, solve, marks in (("blank", {}, 0), ("full", dict(zip(map("\n".join, masters.blank(tried).values()),
                               ["\n".join(q.solution) for q in tried.questions.values()], strict=True)), 4)):
        folder = tmp_path / name
        folder.mkdir()
        for cell in notebook.cells:
            cell.source = solve.get(cell.source, cell.source) if cell.cell_type == "code" else cell.source
        (folder / "handed-in.ipynb").write_text(json.dumps(notebook))
        assert otter_score(archive, folder / "handed-in.ipynb", folder) == (marks, 4)


@pytest.mark.slow
def test_a_student_reads_what_was_expected(made: Path, tmp_path: Path) -> None:
    notebook = student_notebook(made / "first")
    for cell in notebook.cells:
        cell.source = cell.source.replace("student = 0", "student = 12")
    ran = assemble.executed(notebook, tmp_path)              # under another name, beside no other file
    said = {cell.source: "".join(output.get("data", {}).get("text/plain", "") + output.get("text", "") for output in cell.outputs)
            for cell in ran.cells if cell.cell_type == "code"}
    assert "a result:" in said['grader.check("q1")'] and "expected twice the number, came something else. See there." in said['grader.check("q1")']
    assert "hidden" not in said['grader.check("q1")']


@pytest.mark.slow
def test_all_public_sets_are_made(tmp_path: Path) -> None:
    sets = assemble.public_sets()
    assemble.build(sets, tmp_path, solutions=False)
    for one in sets:
        notebook = student_notebook(tmp_path, one.name)
        text = "\n".join(cell.source for cell in notebook.cells)
        assert "SOLUTION" not in text and "](book:" not in text
        public = {name: sum(not test.hidden for test in q.tests) for name, q in one.public.questions.items()}
        files = assemble.packed_checks(notebook)
        assert {name: text.count("@test_case(") for name, text in files.items()} == {name: n for name, n in public.items() if n}
        with zipfile.ZipFile(tmp_path / "autograder" / f"{one.name}.zip") as archive:
            for name, asked in one.graded.questions.items():
                if asked.tests:
                    assert archive.read(f"tests/{name}.py").decode().count("@test_case(") == len(asked.tests)


@pytest.mark.slow
def test_a_solved_set_is_executed(tmp_path: Path, tried: Master) -> None:
    import nbformat

    assemble.build([assemble.Set(tried, tried, True)], tmp_path)
    notebook = nbformat.read(tmp_path / "solutions" / "open-try.ipynb", 4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert (tmp_path / "solutions" / "booklet.html").is_file()

"""A notebook as it was handed in: its cells, where its checks stand, and what a look at its text shows."""

from __future__ import annotations

import ast
import base64
import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

from .archive import ProblemSet, plain
from .limits import MB

LARGEST = 50 * MB


class Unreadable(Exception):
    """The file cannot be read as a notebook; the message says why."""


@dataclass(frozen=True)
class Cell:
    """A code cell with its number in the notebook (counted from 1 over all cells) and the questions checked in it."""

    number: int
    code: str
    checks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notebook:
    """The code cells of a notebook, all its cells as (kind, text), and the student number written in it."""

    cells: tuple[Cell, ...]
    pieces: tuple[tuple[str, str], ...]
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def assignment(self) -> str:
        """The set it says it belongs to."""
        otter = self.metadata.get("otter")
        return str(otter.get("assignment_name") or "") if isinstance(otter, dict) else ""

    @property
    def student(self) -> str:
        """The number in the cell `student = …`, if it is a plain number or text."""
        for cell in self.cells:
            found = re.search(r"""^student\s*=\s*["']?(\w+)["']?""", cell.code, flags=re.MULTILINE)
            if found:
                return found.group(1)
        return ""


def read(data: bytes) -> Notebook:
    """A notebook from the bytes of its file."""
    if not data.strip():
        raise Unreadable("the file is empty")
    if len(data) > LARGEST:
        raise Unreadable(f"the file has {len(data) // MB} MB, more than {LARGEST // MB}; hand it in without its outputs")
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        kind = " (a web page)" if b"<html" in data[:2000].lower() else " (a PDF)" if data.startswith(b"%PDF") else ""
        raise Unreadable(f"the file is no notebook{kind}: {str(error)[:120]}") from error
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise Unreadable("the file is no notebook of format 4: it has no list of cells")
    cells, pieces = [], []
    for number, cell in enumerate(content["cells"], start=1):
        if not isinstance(cell, dict):
            raise Unreadable(f"cell {number} is no cell")
        source = _source(cell.get("source"))
        if cell.get("cell_type") == "code" and "otter_ignore" not in _tags(cell):
            cells.append(Cell(number, source, checks_in(source)))
        pieces.append((str(cell.get("cell_type")), source))
    metadata = content.get("metadata")
    return Notebook(tuple(cells), tuple(pieces), metadata if isinstance(metadata, dict) else {})


def _tags(cell: dict[str, Any]) -> Any:
    """The tags of a cell; otter leaves out what is tagged otter_ignore, such as the cell that installs."""
    metadata = cell.get("metadata")
    return (metadata.get("tags") if isinstance(metadata, dict) else None) or ()


def _source(source: Any) -> str:
    return source if isinstance(source, str) else "".join(s for s in source if isinstance(s, str)) if isinstance(source, list) else ""


CHECK = re.compile(r"""\.check\(\s*(["'])(\w+)\1\s*[,)]""")


def checks_in(code: str) -> tuple[str, ...]:
    """The questions that a cell checks: `grader.check("q1")`, commented lines aside."""
    lines = [line for line in code.splitlines() if not line.lstrip().startswith("#")]
    return tuple(dict.fromkeys(match.group(2) for match in CHECK.finditer("\n".join(lines))))


# --- what a person judges --------------------------------------------------------------------------


def written_answers(notebook: Notebook, problems: ProblemSet) -> dict[str, str]:
    """For each question that a person judges, the cells between its heading and the next question."""
    titles = {question.title: question.name for question in problems.questions.values()}
    answers: dict[str, list[str]] = {}
    current, given = "", {code.strip() for code in problems.given}
    for kind, text in notebook.pieces:
        heading = re.match(r"\s*(?:<!--.*?-->\s*)*#+\s*(.+)", text) if kind == "markdown" else None
        if heading:
            current = titles.get(plain(heading.group(1)), "" if re.match(r"\d", heading.group(1)) else current)
        elif "<!-- END QUESTION -->" in text:
            current = ""
        elif current and problems.questions[current].manual and text.strip() and text.strip() not in given:
            answers.setdefault(current, []).append(text.strip())
    return {name: "\n\n".join(texts)[:20_000] for name, texts in answers.items()}


# --- the checks that the notebook carries ----------------------------------------------------------


PACKED = re.compile(r"""^checks\s*=\s*["']([A-Za-z0-9+/=]+)["']""", re.MULTILINE)


def carried_checks(notebook: Notebook) -> dict[str, Any]:
    """The public checks that a notebook carries, packed in a cell or in its metadata: by question otter's table or a source text."""
    otter = notebook.metadata.get("otter")
    tests = otter.get("tests") if isinstance(otter, dict) else None
    if isinstance(tests, dict) and tests:
        return tests
    for cell in notebook.cells:
        if found := PACKED.search(cell.code):
            try:
                unpacked = json.loads(zlib.decompressobj().decompress(base64.b64decode(found[1]), 5 * MB))
            except (ValueError, zlib.error):
                return {}
            return unpacked if isinstance(unpacked, dict) else {}
    return {}


def edited_checks(notebook: Notebook, problems: ProblemSet) -> list[str]:
    """The questions whose public checks, as the notebook carries them, are not those that were handed out."""
    carried = carried_checks(notebook)
    public = {q.name: _functions(q.source) if q.source else [_bare(c.code) for c in q.cases if not c.hidden] for q in problems.checked}
    return [name for name, codes in public.items() if name in carried and _codes(carried[name]) != codes]


def _bare(code: str) -> str:
    return "\n".join(line.rstrip() for line in code.strip().splitlines())


def _functions(source: str) -> list[str] | None:
    """The public checks of a test file that holds functions, without their names and points."""
    try:
        nodes = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError):
        return None
    public = [node for node in nodes if not any("hidden=True" in ast.unparse(decorator) for decorator in node.decorator_list)]
    return [ast.unparse(node.args) + ":" + "\n".join(ast.unparse(line) for line in node.body) for node in public]


def _codes(test: Any) -> list[str] | None:
    if isinstance(test, str):
        return _functions(test)
    try:
        return [_bare(_source(case["code"])) for case in test["suites"][0]["cases"] if not case.get("hidden")]
    except (KeyError, IndexError, TypeError, AttributeError):
        return None


# --- what a person should look at ------------------------------------------------------------------

LOOK = {
    "looks into the program that runs it": r"_getframe|\bcurrentframe\b|inspect\.stack|\bf_(?:back|locals|globals)\b|\bset(?:trace|profile)\b|gc\.get_",
    "replaces code": r"\b__code__\b|\b__builtins__\b|sys\.modules\s*\[|\bsetattr\s*\(\s*(?:cw|np|torch|dl|grader)\b",
    "reaches for other processes": r"\bos\.kill\b|\bos\.getppid\b|/proc/|\bptrace\b|\bctypes\b",
    "names the desk": r"\bdesk[._](?:guard|checking|grading|worker)",
}


def _replaces_helpers(code: str) -> bool:
    """Whether a cell assigns to an attribute of the checks' modules: `cw.expect_close = …`."""
    try:
        tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []
        for target in targets:
            if isinstance(target, ast.Attribute) and re.match(r"(cw|grader|otter|deeplimits|dl|coursework|np\.testing|numpy\.testing)\b", ast.unparse(target)):
                return True
    return False


def worth_a_look(notebook: Notebook) -> list[str]:
    """Cells that do what an answer hardly needs; reasons to look, no proof of anything."""
    notes = []
    for cell in notebook.cells:
        reasons = [what for what, pattern in LOOK.items() if re.search(pattern, cell.code)]
        if reasons:
            notes.append(f"cell {cell.number} {' and '.join(reasons)}")
    return notes


def replaced_helpers(notebook: Notebook) -> list[str]:
    """Cells that assign to the tools of the checks."""
    return [f"cell {cell.number} assigns to the tools of the checks" for cell in notebook.cells if _replaces_helpers(cell.code)]

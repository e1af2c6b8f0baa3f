"""Masters: read a problem set, and run it in this process.

A master is a notebook in MyST text whose raw cells carry the keywords of otter-grader.  `read` turns it into a `Master`,
`run` executes it with its own solutions or with other answers, `compare` tries several answers of each question in one pass.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import linecache
import random
import re
import symtable
import sys
import textwrap
import time
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Answered", "Cell", "Checked", "FormatError", "Master", "Outcome", "Question", "Test", "blank", "compare", "read", "reads", "run", "stub"]

BOUNDARY = re.compile(r"#\s*(BEGIN|END)\s+(QUESTION|PROMPT|SOLUTION|TESTS)\s*(?:\n|$)", re.IGNORECASE)
CONFIG = re.compile(r"#\s*ASSIGNMENT\s+CONFIG\s*(?:\n|$)", re.IGNORECASE)
Code = str | Sequence[str]
SPEAKS = re.compile(r"(expected|not answered|came) .*See .*\.$")


class FormatError(ValueError):
    """A master that does not follow the format; the message names the file and the cell."""


# --- what a master holds ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """A cell: ``kind`` is "markdown" or "code"; ``role`` says what it is for inside a question."""

    kind: str
    source: str
    tags: tuple[str, ...] = ()
    role: str = "given"                     # inside a question: given, prompt or solution


@dataclass(frozen=True)
class Test:
    """One check: its code without the line that hides it, and its name."""

    code: str
    hidden: bool
    title: str


@dataclass(frozen=True)
class Question:
    """A question with its cells in order and its checks."""

    name: str
    points: float
    manual: bool
    cells: tuple[Cell, ...]
    tests: tuple[Test, ...]
    all_or_nothing: bool = False

    @property
    def prompt(self) -> str:
        """The text of the question."""
        return "\n\n".join(c.source for c in self.cells if c.kind == "markdown" and c.role == "prompt")

    @property
    def solution(self) -> list[str]:
        """The code of the solution, one entry for each cell."""
        return [c.source for c in self.cells if c.kind == "code" and c.role == "solution"]

    @property
    def notes(self) -> str:
        """The text of the solution: rubric and sample answers."""
        return "\n\n".join(c.source for c in self.cells if c.kind == "markdown" and c.role == "solution")

    @property
    def title(self) -> str:
        """The heading of the question."""
        found = re.search(r"^#+\s*(.+?)\s*$", self.prompt, flags=re.MULTILINE)
        return found.group(1) if found else self.name


@dataclass(frozen=True)
class Master:
    """A problem set."""

    name: str
    title: str
    parts: tuple[Cell | Question, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @property
    def questions(self) -> dict[str, Question]:
        """The questions by name, in order."""
        return {part.name: part for part in self.parts if isinstance(part, Question)}

    @property
    def points(self) -> float:
        """All points, those that a person gives included."""
        return sum(question.points for question in self.questions.values())


# --- reading ---------------------------------------------------------------------------------------


def read(path: str | Path) -> Master:
    """A master from its file."""
    path = Path(path)
    return reads(path.read_text(encoding="utf-8"), path)


def reads(text: str, path: Path | None = None) -> Master:
    """A master from its text."""
    import jupytext
    import yaml

    where = path.name if path else "master"
    config: dict[str, Any] = {}
    parts: list[Cell | Question] = []
    blocks: list[str] = []
    head: dict[str, Any] = {}
    cells: list[Cell] = []
    tests: list[Test] = []

    def refuse(number: int, fault: str) -> None:
        raise FormatError(f"{where}, cell {number}{' (question ' + str(head.get('name')) + ')' if head else ''}: {fault}")

    for number, cell in enumerate(jupytext.reads(text, fmt="md:myst").cells, start=1):
        source, inside = cell.source.strip("\n"), blocks[-1] if blocks else ""
        boundary = BOUNDARY.match(source.strip()) if cell.cell_type == "raw" else None
        if cell.cell_type == "raw" and CONFIG.match(source.strip()):
            config = yaml.safe_load(source) or {}
        elif boundary and boundary[1].upper() == "BEGIN":
            block = boundary[2].upper()
            if (block == "QUESTION") == bool(blocks) or len(blocks) > 1:
                refuse(number, f"BEGIN {block} {'inside ' + inside if inside else 'outside a question'}")
            if block == "QUESTION":
                head, cells, tests = _head(yaml.safe_load(source), lambda fault, number=number: refuse(number, fault)), [], []
            blocks.append(block)
        elif boundary:
            if not blocks or boundary[2].upper() != inside:
                refuse(number, f"END {boundary[2].upper()} {'closes BEGIN ' + inside if inside else 'without BEGIN'}")
            blocks.pop()
            if not blocks:
                parts.append(Question(cells=tuple(cells), tests=tuple(tests), **head))
                head = {}
        elif cell.cell_type == "raw":
            refuse(number, f"a raw cell that is no keyword: {source[:60]!r}")
        elif inside == "TESTS":
            if cell.cell_type != "code":
                refuse(number, "a text among the checks")
            tests.append(check_of(source, lambda fault, number=number: refuse(number, fault)))
        else:
            role = "solution" if inside == "SOLUTION" else "prompt" if blocks and cell.cell_type == "markdown" else "given"
            made = Cell(cell.cell_type, source, tuple(cell.metadata.get("tags", ())), role)
            (cells if blocks else parts).append(made)
    if blocks:
        refuse(number, f"BEGIN {blocks[-1]} without END")
    return _finish(config, parts, where, path)


def _head(given: Any, refuse: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not re.fullmatch(r"\w+", str(given.get("name", ""))):
        refuse("BEGIN QUESTION needs `name: q1` and `points: 3`")
    points = given.get("points")
    if isinstance(points, bool) or not isinstance(points, (int, float)) or points <= 0:
        refuse(f"points must be a positive number; got {points!r}")
    unknown = set(given) - {"name", "points", "manual", "all_or_nothing"}
    if unknown:
        refuse(f"unknown in BEGIN QUESTION: {', '.join(sorted(map(str, unknown)))}")
    return {"name": str(given["name"]), "points": points, "manual": bool(given.get("manual")), "all_or_nothing": bool(given.get("all_or_nothing"))}


def check_of(source: str, refuse: Any) -> Test:
    """A check from its cell; `refuse` is called with what is wrong."""
    if re.match(r"(?:.\s*=\s*)?\"\"?\"?\s*#\s*BEGIN\s*TEST\s*CONFIG", source):
        refuse("a check of its own points; points are shared equally here")
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        refuse(f"a check with a syntax error: {error}")
    if not statements:
        refuse("an empty check")
    first, _, rest = source.partition("\n")
    hidden = first.lstrip().startswith("#") and bool(re.search(r"\bhidden\b", first, re.IGNORECASE))       # otter's own rule
    if hidden and not first.startswith("# HIDDEN"):
        refuse(f"the word 'hidden' in the first line hides a check from the student: {first!r}; begin with '# HIDDEN' or use another word")
    code = rest if hidden else source
    named = re.match(r"\s*#\s*(.+)", code)
    title = first.removeprefix("# HIDDEN").strip(" :-") or (named.group(1).strip() if named else "") if hidden else named.group(1).strip() if named else ""
    if not title:
        refuse("a check begins with a comment that names it")
    return Test(code, hidden, title)


def _finish(config: dict[str, Any], parts: list[Cell | Question], where: str, path: Path | None) -> Master:
    name = str(config.get("name", ""))
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise FormatError(f"{where}: `# ASSIGNMENT CONFIG` needs a name in small letters, such as open-part1; got {name!r}")
    names = [part.name for part in parts if isinstance(part, Question)]
    if not names:
        raise FormatError(f"{where}: no question")
    if len(set(names)) < len(names):
        raise FormatError(f"{where}: two questions of one name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    if sum("student" in part.tags for part in parts if isinstance(part, Cell)) != 1:
        raise FormatError(f"{where}: exactly one code cell has the tag student, and holds `student = 0`")
    for part in parts:
        if isinstance(part, Cell) and part.tags == ("student",) and part.source.split("#")[0].strip() != "student = 0":
            raise FormatError(f"{where}: the cell with the tag student holds `student = 0   # your student number`; got {part.source!r}")
        if isinstance(part, Question) and not part.tests and not part.manual:
            raise FormatError(f"{where}: {part.name} has no checks and is not manual")
        if isinstance(part, Question) and part.tests and part.manual:
            raise FormatError(f"{where}: {part.name} is judged by a person and has checks")
    return Master(name, str(config.get("title", name)), tuple(parts), config, path)


# --- what the student sees -------------------------------------------------------------------------

LINE = re.compile(r"(\s*).* ?# ?SOLUTION")
ASSIGNMENT = re.compile(r"(\s*(?:[\w.]+(?=[^\w.])(?:\[['\"]?.*['\"]?\])*(?:,\s*)?)+\s*=).* ?# ?SOLUTION")
LEFT_OUT = ("# SOLUTION NO PROMPT", "# BEGIN PROMPT", "# END PROMPT", "# SEED")


def stripped(code: str) -> str:
    """A cell of a solution with the marked lines replaced by ``...``, as otter does it."""
    lines, solving = [], False
    for line in code.split("\n"):
        end = line.rstrip()
        if end.endswith(LEFT_OUT):
            continue
        if end.endswith("# END SOLUTION"):
            solving = False
            continue
        if solving:
            continue
        if begin := re.match(r"(\s*)# BEGIN SOLUTION( NO PROMPT)?", line):
            solving = True
            if not begin[2]:
                lines.append(begin[1] + "...")
            continue
        if found := ASSIGNMENT.match(line):
            line = found[1] + " ..."
        elif found := LINE.match(line):
            line = found[1] + "..."
        lines.append(line)
    return "\n".join(lines)


def stub(question: Question) -> list[str]:
    """The code cells of an answer as the student finds them."""
    return [stripped(code) for code in question.solution]


def blank(master: Master) -> dict[str, list[str]]:
    """The answers of a notebook that nobody filled in."""
    return {name: stub(question) for name, question in master.questions.items()}


def as_function(test: Test, name: str) -> tuple[str, list[str]]:
    """A check as the function that otter calls, and the names of the notebook that it takes as arguments."""
    body = ast.parse(test.code).body

    def source(arguments: Sequence[str]) -> str:
        head = ast.arguments(posonlyargs=[], args=[ast.arg(a) for a in arguments], kwonlyargs=[], kw_defaults=[], defaults=[])
        made = ast.FunctionDef(name=name, args=head, body=body, decorator_list=[], returns=None, type_params=[])
        return ast.unparse(ast.fix_missing_locations(ast.Module([made], type_ignores=[])))

    def free(table: symtable.SymbolTable) -> Iterator[str]:
        yield from (s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced())
        for child in table.get_children():
            yield from free(child)

    needed = sorted({n for n in free(symtable.symtable(source(()), name, "exec").get_children()[0]) if not hasattr(builtins, n)})
    return source(needed), needed


# --- running ---------------------------------------------------------------------------------------


class Checked(NamedTuple):
    """The result of one check."""

    title: str
    passed: bool
    message: str


@dataclass(frozen=True)
class Answered:
    """The result of one question; ``error`` is what its answer cells raised."""

    name: str
    checks: tuple[Checked, ...]
    points: float
    marks: float
    error: str = ""
    seconds: float = 0.0

    @property
    def full(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


@dataclass(frozen=True)
class Outcome:
    """The results of a set: questions with checks in order, and what went wrong in cells that are not answers."""

    questions: Mapping[str, Answered]
    errors: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def marks(self) -> float:
        """The marks that the checks give."""
        return sum(question.marks for question in self.questions.values())

    @property
    def points(self) -> float:
        """The points that the checks could give."""
        return sum(question.points for question in self.questions.values())


def _say(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text or "a check failed without a message") if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"


class _Room:
    """One namespace in which cells are executed."""

    def __init__(self, name: str, names: dict[str, Any] | None = None) -> None:
        self.name = name
        self.names = {"__name__": "__main__", "display": lambda *shown, **how: None, "get_ipython": lambda: None} if names is None else names

    def copy(self) -> _Room:
        """A second namespace; functions that were defined in this one look their names up in the copy."""
        names = dict(self.names)
        for key, value in self.names.items():
            if isinstance(value, types.FunctionType) and value.__globals__ is self.names:
                twin = types.FunctionType(value.__code__, names, value.__name__, value.__defaults__, value.__closure__)
                twin.__kwdefaults__, twin.__dict__ = value.__kwdefaults__, dict(value.__dict__)
                names[key] = twin
        return _Room(self.name, names)

    def execute(self, code: str, label: str) -> BaseException | None:
        """Run a piece of code; the error that it raised, if any."""
        code = re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE)
        file = f"<{self.name}, {label}>"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                exec(compile(code, file, "exec"), self.names)
        except (Exception, SystemExit) as error:
            return error
        return None

    def check(self, test: Test, label: str) -> Checked:
        """Run a check in a namespace that it cannot spoil for others."""
        code, needed = as_function(test, "check")
        names = {f"_{k}": self.names.get(name) for k, name in enumerate(needed)}     # otter, too, gives None for what is missing
        call = ", ".join(f"{name}=_{k}" for k, name in enumerate(needed))
        error = _Room(self.name, names).execute(f"{code}\ncheck({call})", label)
        return Checked(test.title, error is None, "" if error is None else _say(error))

    def answer(self, question: Question, code: Code | None, briefly: bool = False) -> Answered:
        """Run a question with its own solution, or with other code in the place of it; briefly ends at a check that fails and says why."""
        began = time.perf_counter()
        error = ""
        for k, source in enumerate(_cells(question, code)):
            if failed := self.execute(source, f"{question.name}, cell {k + 1}"):
                error = error or _say(failed)
        checks: list[Checked] = []
        for k, test in enumerate(question.tests):
            checks.append(self.check(test, f"{question.name}, check {k + 1}"))
            if briefly and SPEAKS.search(checks[-1].message):
                break
        share = sum(check.passed for check in checks) / len(question.tests) if checks else 0.0
        marks = question.points * (float(share == 1) if question.all_or_nothing else share)
        return Answered(question.name, tuple(checks), 0.0 if question.manual else question.points, marks, error, time.perf_counter() - began)


def _cells(question: Question, code: Code | None) -> Iterator[str]:
    """The code cells of a question in order; other code stands where the solution begins."""
    instead = None if code is None else [code] if isinstance(code, str) else list(code)
    for cell in question.cells:
        if cell.kind == "code" and (cell.role != "solution" or instead is None):
            yield cell.source
        elif cell.role == "solution" and instead is not None:
            yield from instead
            instead = []
    yield from instead or ()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put back what a set may change for the whole process: torch's defaults, random states, figures."""
    import matplotlib
    import numpy as np
    import torch

    matplotlib.use("Agg")
    dtype, grad, states = torch.get_default_dtype(), torch.is_grad_enabled(), _random_states()
    try:
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        _restore(states)
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")


def _random_states() -> tuple[Any, ...]:
    import numpy as np
    import torch

    return torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002


def _restore(states: tuple[Any, ...]) -> None:
    import numpy as np
    import torch

    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])


def run(master: Master, answers: Mapping[str, Code] | None = None, *, student: int | str | None = None) -> Outcome:
    """Execute a whole set in one fresh namespace.

    Args:
        master: the set.
        answers: code (or a list of cells) for some questions, in the place of their solutions.
        student: the student number; that of the master if None.
    """
    return compare(master, {}, answers, student=student)[0]


Tried = dict[str, list[tuple[str, Answered]]]


def compare(master: Master, others: Mapping[str, Sequence[tuple[str, Code]]], answers: Mapping[str, Code] | None = None, *,
            student: int | str | None = None, briefly: bool = False) -> tuple[Outcome, Tried]:
    """Execute a set once, and at each question first try other answers, each in a copy of the namespace.

    Args:
        master: the set.
        others: for each question the answers to try, as (title, code).
        answers: what stands in the place of the solutions in the run itself.
        student: the student number; that of the master if None.
        briefly: end with each of the others at the first check that fails and says why; its marks are then a lower bound.

    Returns:
        The outcome of the run, and for each question in ``others`` the list of (title, result).
    """
    answers = dict(answers or {})
    for name in {*answers, *others} - set(master.questions):
        raise KeyError(f"{master.name} has no question {name}")
    room, errors, tried = _Room(master.name), [], {}
    results: dict[str, Answered] = {}
    began = time.perf_counter()
    with _undisturbed():
        for k, part in enumerate(master.parts):
            if isinstance(part, Cell):
                if part.kind == "code":
                    code = f"student = {student!r}" if student is not None and "student" in part.tags else part.source
                    if failed := room.execute(code, f"cell {k + 1}"):
                        errors.append(f"{master.name}, cell {k + 1}: {_say(failed)}")
                continue
            states = _random_states()
            for title, code in others.get(part.name, ()):
                code = textwrap.dedent(code) if isinstance(code, str) else code
                tried.setdefault(part.name, []).append((title, room.copy().answer(part, code, briefly)))
                _restore(states)
            code = answers.get(part.name)
            result = room.answer(part, textwrap.dedent(code) if isinstance(code, str) else code)
            if not part.manual:
                results[part.name] = result
            elif result.error:
                errors.append(f"{master.name}, {part.name}: {result.error}")
    return Outcome(results, tuple(errors), time.perf_counter() - began), tried


# --- the check of a master -------------------------------------------------------------------------


def examine(master: Master, wrong: Mapping[str, Sequence[tuple[str, Code]]] | None = None, right: Mapping[str, Code] | None = None, *,
            student: int | str | None = None, solved: bool = True, briefly: bool = False) -> tuple[list[str], list[str]]:
    """What a master is worth: its solution scores full marks, a blank notebook nothing, and wrong answers lose marks.

    Args:
        master: the set.
        wrong: wrong answers for each question, as (title, code).
        right: answers that stand in the place of missing solutions.
        student: the student number.
        solved: whether solutions (or right answers) are there for every question.
        briefly: as for `compare`.

    Returns:
        Lines to read, and the faults among them.
    """
    said, faults = [], []

    def note(line: str, fault: bool) -> None:
        said.append(("  FAULT " if fault else "  ") + line)
        if fault:
            faults.append(f"{master.name}: {line.strip()}")

    outcome, tried = compare(master, wrong or {}, right, student=student, briefly=briefly)
    empty = run(master, blank(master), student=student)
    said.append(f"{master.name}: {master.title} ({master.points:g} points, {outcome.points:g} of them by checks; {outcome.seconds:.1f} s)")
    for line in outcome.errors:
        note(line, True)
    for name, question in master.questions.items():
        if question.manual:
            said.append(f"{name} ({question.points:g} points): judged by a person")
            continue
        result = outcome.questions[name]
        said.append(f"{name} ({question.points:g} points, {len(question.tests)} checks, {sum(t.hidden for t in question.tests)} hidden; {result.seconds:.1f} s)")
        if solved or name in (right or {}):
            note(f"solution: {result.marks:g} of {result.points:g}", not result.full)
            if not result.full:
                for line in [result.error, *(f"{c.title}: {c.message}" for c in result.checks if not c.passed)]:
                    said.extend([f"      {line}"] if line else [])
        nothing = empty.questions[name]
        note(f"blank: {nothing.marks:g}", nothing.marks != 0 or any(c.passed for c in nothing.checks))
        said.extend(f"      passes without an answer: {c.title}" for c in nothing.checks if c.passed)
        said.extend(f"      {c.message}" for c in nothing.checks[:1])
        for title, answer in tried.get(name, ()):
            failed = [c for c in answer.checks if not c.passed]
            note(f"wrong, {title}: {answer.marks:g}" + (f" ({answer.error})" if answer.error else ""), not failed)
            said.extend(f"      {c.title}: {c.message}" for c in failed)
            if failed and not any(SPEAKS.search(c.message) for c in failed):
                note("no message says what was expected, what came and where to read", True)
    return said, faults

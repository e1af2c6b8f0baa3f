"""A teacher's private set: solutions and hidden checks of the graded questions, in a folder outside the repository.

`scaffold` writes the files to fill in, `sets` merges them with the public masters, and refuses what would grade wrongly.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from desk import masters
from desk.assemble import HOME, ROOT, Set, chosen
from desk.masters import Cell, FormatError, Master, Question, Test

STUDENTS = (0, 7654321)                # a private set must grade every student: it is tried with two
HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""
README = """\
# A private set for *Deep Limits*

This folder holds what students must not see: solutions and hidden checks of the graded problem sets. It belongs outside the
repository of the book; keep it in a private repository of its own, or nowhere but on your disk. `built/` is made anew by each build.

## What to do

1. Each folder `graded-part…` is a set, each file in it a question. Write your solution between `BEGIN SOLUTION` and `END SOLUTION`.
   Students see the stub of the public set, never this cell.
2. Write at least one hidden check between `BEGIN TESTS` and `END TESTS`: its first line is `# HIDDEN`, its second a comment that names it,
   then statements such as `cw.expect_close(answer, expected, what="…", see="…")`. The points of a question are shared equally among all its checks, public and
   hidden. `student` is the student's number, so compute what you expect from the data of the question rather than write it down.
3. For a question that a person judges, write sample answers for yourself and your assistants; they go into the booklet.
4. In the repository of the book, run

       make coursework PRIVATE={folder}

   A set is refused, with the reasons, as long as your solution does not score full marks (tried with two student numbers),
   a blank notebook scores anything, or a question has no hidden check. Sets in which you have changed nothing are left out.
5. Give out the notebooks in `built/student/`; grade with `make grade SUBMISSIONS=… PRIVATE={folder}`, or upload an archive of
   `built/autograder/`. `built/solutions/` holds the solved notebooks and a booklet.

Sets of your own, whole, go into `masters/` in the format of `book/coursework/open/`, with solutions and checks inside.
Run `make private-set PRIVATE={folder}` again after an update of the book: it adds files for new questions and touches no file that is there.
"""


class Refused(Exception):
    """A private set that would grade wrongly; the text lists why."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("This private set is not ready:\n" + "\n".join(f"- {fault}" for fault in faults))
        self.faults = list(faults)


def outside(folder: Path) -> Path:
    """The folder, which must not lie in the repository."""
    folder = folder.expanduser().resolve()
    if folder == ROOT or folder.is_relative_to(ROOT):
        raise Refused([f"{folder} lies inside the repository, where everybody may read it; name a folder outside, such as ../my-set"])
    return folder


# --- the files to fill in --------------------------------------------------------------------------


def _code(source: str) -> str:
    return f"```{{code-cell}} ipython3\n{source}\n```"


def _raw(source: str) -> str:
    return f"```{{raw-cell}}\n{source}\n```"


def template(master: Master, question: Question) -> str:
    """The file of one question, to be filled in."""
    parts = [f"# {master.name}, {question.name}", "The prompt, for reading; changes here have no effect."]
    parts.append("\n".join(f"> {line}".rstrip() for line in question.prompt.split("\n")))
    parts.append(_raw("# BEGIN SOLUTION"))
    if question.manual:
        parts.append("**Sample answers**\n\n*Full marks.* …\n\n*Part of them.* …\n\n*None.* …")
    if question.solution or not question.manual:
        parts += [_code(source) for source in masters.stub(question) or ["..."]]
    parts.append(_raw("# END SOLUTION"))
    if not question.manual:
        parts += [_raw("# BEGIN TESTS"), _code("# HIDDEN\n# what this check is about\n..."), _raw("# END TESTS")]
    return HEADER + "\n" + "\n\n".join(parts) + "\n"


def scaffold(folder: Path, only: Sequence[str] = (), home: Path = HOME) -> list[Path]:
    """Write the files to fill in; those that exist stay as they are."""
    folder = outside(folder)
    if folder.is_file():
        raise Refused([f"{folder} is a file"])
    files = {folder / "README.md": README.format(folder=folder), folder / ".gitignore": "built/\n", folder / "masters" / ".gitkeep": ""}
    for path in sorted((home / "graded").glob("*.md")):
        master = masters.read(path)
        if chosen(master.name, only):
            files |= {folder / master.name / f"{question.name}.md": template(master, question) for question in master.questions.values()}
    written = []
    for path, text in files.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


# --- reading them back -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Filled:
    """What a teacher wrote for one question."""

    cells: tuple[Cell, ...]
    tests: tuple[Test, ...]


def _written(code: str) -> bool:
    """Whether a cell holds more than the placeholder."""
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return True
    return any(not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)) for s in body)


def read(path: Path) -> Filled:
    """The solution and the hidden checks in one file."""
    import jupytext

    cells: list[Cell] = []
    tests: list[Test] = []
    inside = ""
    where = f"{path.parent.name}/{path.name}"

    def refuse(fault: str) -> None:
        raise FormatError(f"{where}: {fault}")

    for cell in jupytext.reads(path.read_text(encoding="utf-8"), fmt="md:myst").cells:
        source = cell.source.strip("\n")
        boundary = masters.BOUNDARY.match(source.strip()) if cell.cell_type == "raw" else None
        if boundary:
            begin, block = boundary[1].upper() == "BEGIN", boundary[2].upper()
            if block not in ("SOLUTION", "TESTS") or (begin and inside) or (not begin and block != inside):
                refuse(f"{source.strip()} is out of place")
            inside = block if begin else ""
        elif inside == "SOLUTION":
            cells.append(Cell(cell.cell_type, source, role="solution"))
        elif inside == "TESTS" and cell.cell_type == "code" and _written(source):
            tests.append(replace(masters.check_of(source, refuse), hidden=True))
        elif not inside and cell.cell_type == "code":
            refuse("code outside BEGIN SOLUTION and BEGIN TESTS")
    if inside:
        refuse(f"BEGIN {inside} without END")
    return Filled(tuple(cells), tuple(tests))


def merged(question: Question, filled: Filled) -> Question:
    """A public question with the private solution in the place of the stub, and the hidden checks after the public ones."""
    cells: list[Cell] = []
    placed = False
    for cell in question.cells:
        if cell.role != "solution":
            cells.append(cell)
        elif not placed:
            cells.extend(filled.cells)
            placed = True
    return replace(question, cells=tuple(cells if placed else [*cells, *filled.cells]), tests=question.tests + filled.tests)


def merge(public: Master, folder: Path) -> tuple[Master, list[str]]:
    """A public master with the files of a folder merged in, and what is missing in them."""
    faults: list[str] = []
    parts: list[Any] = []
    for path in sorted(folder.glob("*.md")):
        if path.stem not in public.questions:
            faults.append(f"{folder.name}/{path.name}: {public.name} has no question {path.stem}; it has {', '.join(public.questions)}")
    for part in public.parts:
        path = folder / f"{part.name}.md" if isinstance(part, Question) else None
        if path is None:
            parts.append(part)
            continue
        if not path.is_file():
            faults.append(f"{folder.name}, {part.name}: the file {path.name} is missing (make private-set writes it)")
            continue
        try:
            filled = read(path)
        except FormatError as error:
            faults.append(str(error))
            continue
        code = [cell.source.strip() for cell in filled.cells if cell.kind == "code"]
        if not part.manual and code in ([], [s.strip() for s in masters.stub(part)]):
            faults.append(f"{folder.name}, {part.name}: the solution is still the stub")
        if not part.manual and not filled.tests:
            faults.append(f"{folder.name}, {part.name}: no hidden check is written")
        parts.append(merged(part, filled))
    return replace(public, parts=tuple(parts)), faults


def untouched(public: Master, folder: Path) -> bool:
    """Whether no solution and no hidden check was written."""
    if not all((folder / f"{name}.md").is_file() for name in public.questions):
        return False
    for path in folder.glob("*.md"):
        question = public.questions.get(path.stem)
        try:
            filled = read(path)
        except FormatError:
            return False
        stubs = [source.strip() for source in masters.stub(question)] if question else []
        code = [cell.source.strip() for cell in filled.cells if cell.kind == "code"]
        if question is None or filled.tests or any(_written(source) and source not in stubs for source in code):
            return False
    return True


def judge(graded: Master, blank: dict[str, list[str]]) -> list[str]:
    """What would grade wrongly: a solution without full marks, a blank notebook with some."""
    faults = []
    for student in STUDENTS:
        outcome = masters.run(graded, student=student)
        faults += [f"{line} (student number {student})" for line in outcome.errors]
        for name, answered in outcome.questions.items():
            if not answered.full:
                failed = "; ".join(f"{c.title}: {c.message}" for c in answered.checks if not c.passed)
                faults.append(f"{graded.name}, {name}: your solution scores {answered.marks:g} of {answered.points:g} for student number {student}: "
                              f"{answered.error + '; ' if answered.error else ''}{failed}")
    for name, answered in masters.run(graded, blank).questions.items():
        passed = [c.title for c in answered.checks if c.passed]
        if passed:
            faults.append(f"{graded.name}, {name}: a blank notebook passes: {'; '.join(passed)}")
    return faults


def sets(folder: Path, only: Sequence[str] = (), home: Path = HOME) -> list[Set]:
    """The private sets of a folder, each checked; sets in which nothing was filled in are left out."""
    folder = outside(folder)
    if not folder.is_dir():
        raise Refused([f"there is no folder {folder}; make private-set PRIVATE={folder} writes it"])
    faults: list[str] = []
    found: list[Set] = []
    taken = set()
    for path in sorted([*(home / "graded").glob("*.md"), *(home / "open").glob("*.md")]):
        public = masters.read(path)
        taken.add(public.name)
        place = folder / public.name
        if not chosen(public.name, only) or not place.is_dir() or path.parent.name == "open":
            continue
        if not only and untouched(public, place):
            print(f"{public.name}: nothing filled in yet, left out")
            continue
        graded, missing = merge(public, place)
        missing = missing or judge(graded, masters.blank(public))
        faults += missing
        found += [] if missing else [Set(public, graded, True)]
    for path in sorted((folder / "masters").glob("*.md")):
        if re.fullmatch(r"readme", path.stem, re.IGNORECASE):
            continue
        try:
            own = masters.read(path)
        except FormatError as error:
            faults.append(str(error))
            continue
        if own.name in taken:
            faults.append(f"masters/{path.name}: the name {own.name} is taken")
        elif chosen(own.name, only):
            missing = judge(own, masters.blank(own))
            faults += missing
            found += [] if missing else [Set(own, own, True)]
    if faults:
        raise Refused(faults)
    return found


# --- the command -----------------------------------------------------------------------------------


def run(arguments: argparse.Namespace) -> int:
    """The command `private`."""
    try:
        written = scaffold(Path(arguments.folder), arguments.only)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    folder = outside(Path(arguments.folder))
    print("\n".join(str(path.relative_to(folder)) for path in written) or "nothing to add")
    print(f"Fill in what {folder / 'README.md'} names, then: make coursework PRIVATE={arguments.folder}")
    return 0


def add_parser(commands: Any) -> None:
    """Register the command `private`."""
    made = commands.add_parser("private", help="write the files of a private set (solutions and hidden checks) into a folder outside the repository")
    made.add_argument("folder")
    made.add_argument("--only", action="append", default=[], metavar="part1", help="one set (may be given several times)")
    made.set_defaults(run=run)

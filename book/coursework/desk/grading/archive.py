"""What a set asks: the checks of an autograder archive, and from the master the titles and the questions that a person judges."""

from __future__ import annotations

import ast
import hashlib
import re
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .limits import MB

HELPERS = {"np": "numpy", "torch": "torch", "math": "math", "dl": "deeplimits", "cw": "deeplimits.coursework"}


class BadInput(Exception):
    """Something the caller named cannot be used; the message says what, and the way out."""


@dataclass(frozen=True)
class Case:
    """One check."""

    title: str
    points: float
    hidden: bool
    code: str


@dataclass(frozen=True)
class Question:
    """A question: with checks, or judged by a person."""

    name: str
    title: str
    points: float
    manual: bool = False
    cases: tuple[Case, ...] = ()
    all_or_nothing: bool = False
    source: str = ""                                # of the test file, where it is not in otter's usual format
    rubric: str = ""

    @property
    def format(self) -> str:
        """How its checks are run."""
        return "function" if self.source else "doctest"


@dataclass(frozen=True)
class ProblemSet:
    """A set as the desk grades it."""

    name: str
    title: str
    questions: dict[str, Question]
    digest: str
    files: dict[str, bytes] = field(default_factory=dict)
    helpers: dict[str, str] = field(default_factory=HELPERS.copy)
    given: tuple[str, ...] = ()                     # the cells that are handed out, in order
    answered: tuple[str, ...] = ()                  # the names that answers assign

    @property
    def points(self) -> float:
        """All points, those that a person gives included."""
        return sum(question.points for question in self.questions.values())

    @property
    def checked(self) -> list[Question]:
        """The questions with checks."""
        return [question for question in self.questions.values() if not question.manual]

    @property
    def manual(self) -> list[Question]:
        """The questions that a person judges."""
        return [question for question in self.questions.values() if question.manual]

    def preload(self) -> list[str]:
        """Modules to be loaded before the student's first cell."""
        names = ["numpy", "numpy.testing", "torch", "torch.testing", *(where.replace(":", ".") for where in self.helpers.values())]
        for question in self.checked:
            for case in question.cases:
                for base, attribute in re.findall(r"\b(\w+)\.(\w+)", case.code + question.source):
                    if base in self.helpers and ":" not in self.helpers[base] and self.helpers[base].startswith("deeplimits"):
                        names.append(f"{self.helpers[base]}.{attribute}")
        return list(dict.fromkeys(names))

    def watch(self) -> list[str]:
        """What of numpy and torch checks call, and nobody may replace."""
        code = "\n".join([*(case.code for question in self.checked for case in question.cases), *(question.source for question in self.checked)])
        used = {f"{self.helpers[base]}.{attribute}" for base, attribute in re.findall(r"\b(\w+)\.(\w+)", code) if base in self.helpers}
        return sorted(name for name in used if name.startswith(("numpy.", "torch.")))


# --- the archive -----------------------------------------------------------------------------------


def _members(path: Path) -> dict[str, bytes]:
    if not path.is_file():
        raise BadInput(f"--archive: there is no file {path}; `make coursework` builds the archives")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > 500 * MB:
                raise BadInput(f"--archive: {path} holds more than 500 MB; an autograder archive holds the checks and small data files")
            return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    except (zipfile.BadZipFile, OSError) as error:
        raise BadInput(f"--archive: {path} is no zip archive ({error}); name the …autograder….zip that `make coursework` made") from error


def _title(code: str, name: str) -> str:
    for line in code.splitlines():
        text = line.removeprefix(">>>").removeprefix("...").strip()
        if text.startswith("#") and (named := text.strip("# ").removeprefix("HIDDEN").strip(" :-")):
            return named
    return name


def _question(name: str, data: bytes, folder: Path) -> Question:
    """A question from its test file, read by otter itself."""
    from otter.nbmeta_config import NBMetadataConfig
    from otter.test_files import create_test_file

    file = folder / Path(name).name
    file.write_bytes(data)
    tests = create_test_file(str(file), NBMetadataConfig())
    usual = type(tests).__name__ == "OKTestFile"
    cases = tuple(Case(_title(c.body if usual else "", c.name), float(c.points), bool(c.hidden), c.body if usual else c.name) for c in tests.test_cases)
    return Question(tests.name, tests.name, round(float(tests.possible), 6), False, cases, bool(tests.all_or_nothing), "" if usual else data.decode())


def read_archive(path: Path, master: Any = None) -> ProblemSet:
    """A set from its archive; the master (of `desk.masters`) adds titles, order, manual questions and what is handed out."""
    members = _members(path)
    tests = {name: data for name, data in sorted(members.items()) if re.fullmatch(r"tests/\w[^/]*\.py", name)}
    if not tests:
        raise BadInput(f"--archive: {path} has no tests/*.py; name the zip archive of the folder autograder, not the students' notebook")
    with tempfile.TemporaryDirectory(prefix="desk-") as folder:
        found = {question.name: question for question in (_question(name, data, Path(folder)) for name, data in tests.items())}
    files = {name.removeprefix("files/"): data for name, data in members.items() if name.startswith("files/")}
    questions = _with_master(found, master, path) if master else dict(sorted(found.items(), key=lambda item: _natural(item[0])))
    given, answered = handed_out(master) if master else ((), ())
    hashed = {name: data for name, data in members.items() if name.startswith(("tests/", "files/"))} | {"given": repr((given, answered)).encode()}
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + hashlib.sha256(data).digest() for name, data in sorted(hashed.items()))).hexdigest()
    helpers = HELPERS | {name: where for code in given for name, where in imports_in(code).items()}
    name = set_name(path)
    return ProblemSet(name, master.title if master else name, questions, digest, files, helpers, given, answered)


def set_name(path: Path) -> str:
    """The name of a set from that of its archive: open-part1.zip, open-part1-autograder_2026….zip."""
    return re.sub(r"-autograder.*", "", path.stem)


def handed_out(master: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The code cells that a set gives, and the names that its answers assign."""
    given: list[str] = []
    answered: set[str] = {"student"}
    for part in master.parts:
        for cell in getattr(part, "cells", (part,)):
            if cell.kind == "code" and cell.role == "solution":
                answered |= assigned_in(cell.source)
            elif cell.kind == "code" and "student" not in cell.tags:
                given.append(_without_magics(cell.source))
    return tuple(given), tuple(sorted(answered))


def _without_magics(code: str) -> str:
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE)


def assigned_in(code: str) -> set[str]:
    """The names that a piece of code binds at its top level, in loops and conditions too."""
    try:
        nodes = list(ast.walk(ast.parse(_without_magics(code))))
    except SyntaxError:
        return set()
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return bound | {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def _natural(name: str) -> list[Any]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _with_master(found: dict[str, Question], master: Any, path: Path) -> dict[str, Question]:
    """The master's questions in its order, with the checks of the archive."""
    questions = {}
    for name, question in master.questions.items():
        if question.manual:
            questions[name] = Question(name, plain(question.title), float(question.points), True, rubric=question.notes)
        elif name in found:
            test = found.pop(name)
            questions[name] = Question(name, plain(question.title), test.points, False, test.cases, test.all_or_nothing, test.source)
        else:
            raise BadInput(f"--archive: {path} has no checks for {name} of {master.name}; it is older than the master: run `make coursework` again")
    if found:
        raise BadInput(f"--archive: {path} has checks for {', '.join(found)}, which {master.name} does not ask; name the archive of this set")
    return questions


def plain(title: str) -> str:
    """A heading without links and stars."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("*", "").strip()


# --- the names a notebook is handed out with -------------------------------------------------------


def imports_in(code: str) -> dict[str, str]:
    """The names that import statements bind: {"np": "numpy", "cw": "deeplimits.coursework", "sqrt": "math:sqrt"}."""
    try:
        nodes = ast.parse(_without_magics(code)).body
    except SyntaxError:
        return {}
    bound = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            bound |= {a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            bound |= {a.asname or a.name: _source(node.module or "", a.name) for a in node.names if a.name != "*"}
    return bound


def _source(module: str, name: str) -> str:
    return f"{module}.{name}" if (module, name) == ("deeplimits", "coursework") else f"{module}:{name}"

"""From masters to what students and graders use: notebooks without solutions, archives for otter, solved notebooks.

otter-grader does the assembly; what it makes is then tidied: the same bytes in every build, checks with names, and a student notebook
that needs no file beside it, whatever it is called and wherever it runs.
"""

from __future__ import annotations

import argparse
import ast
import base64
import contextlib
import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from desk import masters
from desk.masters import Cell, Master, Question

HOME = Path(__file__).resolve().parents[1]                 # the folder of the coursework
ROOT = HOME.parents[1]
BUILT = ROOT / "_build" / "coursework"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}                   # to Colab; to JupyterLab
LINK = re.compile(r"\]\(book:([^)\s]*)\)")
GRADER_PYTHON = "3.12"
LAST_WORDS = "---\n\nThe end. Run the notebook once from top to bottom (*Restart and run all*), save it, and hand in the file."
CHECKS = '''\
# @title The checks of this set
import base64, json, pathlib, tempfile, zlib
import otter
checks = "{packed}"
checks_folder = pathlib.Path(tempfile.mkdtemp())
for check_name, check_text in json.loads(zlib.decompress(base64.b64decode(checks))).items():
    (checks_folder / f"{{check_name}}.py").write_text(check_text)
grader = otter.Notebook(tests_dir=str(checks_folder))'''
ENVIRONMENT = """\
name: otter-env
channels: [conda-forge]
dependencies:
  - git
  - numpy
  - pytorch-cpu>=2.4
"""


@dataclass(frozen=True)
class Set:
    """A problem set: what students see, and what grades them (in a private set it knows more)."""

    public: Master
    graded: Master
    solved: bool

    @property
    def name(self) -> str:
        """The name of the set, such as open-part1."""
        return self.public.name


def public_sets(only: Sequence[str] = (), home: Path = HOME) -> list[Set]:
    """The sets of the repository: the open ones with solutions, the graded ones without."""
    found = []
    for folder, solved in (("open", True), ("graded", False)):
        for path in sorted((home / folder).glob("*.md")):
            master = masters.read(path)
            if chosen(master.name, only):
                found.append(Set(master, master, solved))
    return found


def chosen(name: str, only: Sequence[str]) -> bool:
    """Whether a set was asked for, by its name or by the part of it behind the hyphen."""
    return not only or name in only or name.partition("-")[2] in only


# --- texts -----------------------------------------------------------------------------------------


def _extensions() -> None:
    """The book's own helpers, on the path."""
    if (folder := str(ROOT / "book" / "_ext")) not in sys.path:
        sys.path.append(folder)


def repository() -> str:
    """The address of the repository."""
    _extensions()
    import book_address

    return book_address.repository()


def linked(text: str) -> str:
    """A text with `book:` links turned into links to the published book."""
    _extensions()
    import book_address

    site = book_address.site(book_address.repository())
    return LINK.sub(lambda found: f"]({site}book/{found[1].removeprefix('/')})", text)


def set_up() -> str:
    """The set-up cell of the chapters' notebooks, which also installs otter where it is missing."""
    _extensions()
    import book_notebooks

    text = book_notebooks.SETUP.format(repository=repository())
    install = re.search(r'^if importlib\.util\.find_spec\("deeplimits"\) is None:\n    source = (.*)\n((?: {4}.*\n)+)', text, flags=re.MULTILINE)
    if not install:
        raise RuntimeError("the set-up cell of the chapters is written in another way: see set_up in assemble.py")
    rest = install[2].replace("install deeplimits", "install {name}")
    loop = (f'for name, source in {{"deeplimits": {install[1]}, "otter": "otter-grader>=7"}}.items():\n'
            "    if importlib.util.find_spec(name) is not None:\n        continue\n")
    text = text[: install.start()] + loop + rest + text[install.end():]
    text = re.sub(r'^if importlib\.util\.find_spec\("myst_nb"\).*\n(?: {4}.*\n)+', "", text, flags=re.MULTILINE)     # only chapters glue
    return text.replace("installs deeplimits where it is missing", "installs deeplimits and otter-grader where they are missing")


# --- notebooks for otter ---------------------------------------------------------------------------


def _cell(kind: str, source: str, **metadata: Any) -> Any:
    import nbformat

    return getattr(nbformat.v4, f"new_{kind}_cell")(source, metadata=metadata)


def _plain(cell: Cell) -> Any:
    tags = {"tags": list(cell.tags)} if cell.tags else {}
    return _cell(cell.kind, linked(cell.source) if cell.kind == "markdown" else cell.source, **tags)


def _question(question: Question) -> Iterable[Any]:
    import yaml

    head = {"name": question.name, "points": question.points, "manual": question.manual, "all_or_nothing": question.all_or_nothing}
    yield _cell("raw", "# BEGIN QUESTION\n" + yaml.safe_dump(head))
    cells = list(question.cells)
    if question.manual and not question.notes:               # otter puts the student's text cell where a text solution is
        cells.append(Cell("markdown", "*Your answer.*", role="solution"))
    inside = False
    for cell in [*cells, None]:
        solution = cell is not None and cell.role == "solution"
        if solution != inside:
            yield _cell("raw", "# BEGIN SOLUTION" if solution else "# END SOLUTION")
            inside = solution
        if cell is not None:
            yield _plain(cell)
    if question.tests:
        yield _cell("raw", "# BEGIN TESTS")
        for k, test in enumerate(question.tests, start=1):
            yield _cell("code", ("# HIDDEN\n" if test.hidden else "") + masters.as_function(test, f"check_{k}")[0])
        yield _cell("raw", "# END TESTS")
    yield _cell("raw", "# END QUESTION")


def for_otter(master: Master) -> Any:
    """The notebook that `otter assign` reads."""
    import nbformat
    import yaml

    config = {
        "name": master.name, "init_cell": False, "export_cell": False, "check_all_cell": False, "show_question_points": True,
        "tests": {"ok_format": False}, "generate": {"pdf": False, "zips": False, "show_hidden": False, "show_stdout": False},
        "requirements": "requirements.txt", "environment": "environment.yml", "python_version": GRADER_PYTHON,
    }
    body: list[Any] = []
    for part in master.parts:
        body.extend(_question(part) if isinstance(part, Question) else [_plain(part)])
    start = next((k for k, cell in enumerate(body) if cell.cell_type == "markdown"), -1) + 1
    body[start:start] = [_cell("code", set_up(), tags=["setup", "otter_ignore"], **FOLDED), _cell("code", "grader = None", tags=["checks"], **FOLDED)]
    cells = [_cell("raw", "# ASSIGNMENT CONFIG\n" + yaml.safe_dump(config)), *body, _cell("markdown", LAST_WORDS)]
    return _tidy(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}}), master.name)


def _tidy(notebook: Any, name: str) -> Any:
    """No outputs, no empty cells, and ids that are the same in every build."""
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    for k, cell in enumerate(notebook.cells):
        cell["id"] = f"{name}-{k}"[-64:]
        cell.source = cell.source.strip("\n")
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def _written(notebook: Any) -> str:
    import nbformat

    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def assign(master: Master, folder: Path) -> tuple[Any, Path]:
    """Run `otter assign`: the student's notebook, and the archive."""
    import nbformat

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from otter.assign import main as otter_assign

    logging.getLogger("otter").setLevel(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{master.name}.ipynb"
    source.write_text(_written(for_otter(master)), encoding="utf-8")
    (folder / "requirements.txt").write_text(f"deeplimits @ git+{repository()}\n", encoding="utf-8")
    (folder / "environment.yml").write_text(ENVIRONMENT, encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        otter_assign(str(source), str(folder / "made"), no_pdfs=True, no_run_tests=True)
    return nbformat.read(folder / "made" / "student" / source.name, 4), next((folder / "made" / "autograder").glob("*.zip"))


# --- after otter -----------------------------------------------------------------------------------


def named(text: str, question: Question) -> str:
    """A file of checks in which each has its name, in plain ASCII, which any system reads."""
    def title(found: re.Match[str]) -> str:
        return f"@test_case(name={question.tests[int(found[2]) - 1].title!a}, {found[1]})\ndef check_{found[2]}("

    text = re.sub(r"@test_case\((points=[^)]*)\)\s*def check_(\d+)\(", title, text)
    plain = text.encode("ascii", "backslashreplace").decode()
    with contextlib.suppress(SyntaxError):
        if ast.dump(ast.parse(plain)) == ast.dump(ast.parse(text)):
            return plain
    return text


def for_student(notebook: Any, master: Master) -> Any:
    """The student's notebook, with its public checks packed into one of its cells."""
    tests = notebook.metadata.get("otter", {}).pop("tests", {})
    files = {name: named(text, master.questions[name]) for name, text in sorted(tests.items())}
    for name, text in files.items():
        if "hidden=True" in text:
            raise RuntimeError(f"{master.name}, {name}: otter left a hidden check in the student's notebook")
    packed = base64.b64encode(zlib.compress(json.dumps(files).encode(), 9)).decode()
    for cell in notebook.cells:
        if "checks" in cell.metadata.get("tags", []):
            cell.source = CHECKS.format(packed=packed)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "colab": {"provenance": [], "toc_visible": True},
                         "otter": {"assignment_name": master.name}}
    return _tidy(notebook, master.name)


def packed_checks(notebook: Any) -> dict[str, str]:
    """The files of checks that a student's notebook holds."""
    cell = next(c for c in notebook.cells if "checks" in c.metadata.get("tags", []))
    text = re.search(r'^checks = "([^"]+)"$', cell.source, flags=re.MULTILINE)
    return json.loads(zlib.decompress(base64.b64decode(text[1]))) if text else {}


def write_archive(made: Path, target: Path, master: Master) -> None:
    """Otter's archive with named checks, the same bytes in every build."""
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(target, "w") as archive:
        for name in sorted(source.namelist()):
            data = source.read(name)
            if re.fullmatch(r"tests/\w+\.py", name):
                data = named(data.decode("utf-8"), master.questions[Path(name).stem]).encode()
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if name in ("run_autograder", "setup.sh") else 0o644) << 16
            archive.writestr(entry, data)


# --- solutions -------------------------------------------------------------------------------------


def for_reader(master: Master) -> Any:
    """The notebook with its solutions and all checks, to be executed and read."""
    import nbformat

    cells = []
    for part in master.parts:
        if isinstance(part, Cell):
            cells.append(_plain(part))
            continue
        points = f"*{part.points:g} point{'s' if part.points != 1 else ''}{', judged by a person' if part.manual else ''}*"
        for k, cell in enumerate(part.cells):
            made = _plain(cell)
            made.source = re.sub(r"^(#+ .*)$", rf"\1\n\n{points}", made.source, count=1, flags=re.MULTILINE) if not k else made.source
            if cell.role == "solution":
                made.source = _unmarked(made.source) if cell.kind == "code" else made.source
                made.metadata["tags"] = ["solution"]
            cells.append(made)
        if part.tests:
            texts = [("# hidden from the student\n" if test.hidden else "") + test.code for test in part.tests]
            cells.append(_cell("code", "\n\n".join(texts), tags=["checked"]))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}, "title": master.title})
    return _tidy(notebook, master.name)


def _unmarked(code: str) -> str:
    """A solution without otter's marks."""
    lines = [re.sub(r"\s*# ?SOLUTION( NO PROMPT)?\s*$", "", line) for line in code.split("\n")]
    return "\n".join(line for line in lines if not re.match(r"\s*# (BEGIN|END) (SOLUTION|PROMPT)", line))


def executed(notebook: Any, folder: Path) -> Any:
    """The notebook with its outputs, from a kernel of its own."""
    from nbclient import NotebookClient

    given = {"DEEPLIMITS_STATIC": "1", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "PYTHONHASHSEED": "0"}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, **given}, stderr=subprocess.DEVNULL)          # where ipykernel warns about its transport
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


# --- all of it -------------------------------------------------------------------------------------


def build_one(one: Set, out: Path, solutions: bool = True) -> str:
    """Make the files of one set; what was made, in a line."""
    for name in ("student", "autograder", "solutions"):
        (out / name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        notebook, archive = assign(one.public, Path(folder, "public"))
        (out / "student" / f"{one.name}.ipynb").write_text(_written(for_student(notebook, one.public)), encoding="utf-8")
        if one.graded is not one.public:
            archive = assign(one.graded, Path(folder, "private"))[1]
        write_archive(archive, out / "autograder" / f"{one.name}.zip", one.graded)
        if one.solved and solutions:
            text = _written(executed(for_reader(one.graded), Path(folder)))
            (out / "solutions" / f"{one.name}.ipynb").write_text(text, encoding="utf-8")
    checks = [test for question in one.graded.questions.values() for test in question.tests]
    return (f"{one.name}: {len(one.graded.questions)} questions, {one.graded.points:g} points, {len(checks)} checks "
            f"({sum(test.hidden for test in checks)} hidden){', solved' if one.solved and solutions else ''}")


def build(sets: Sequence[Set], out: Path, *, solutions: bool = True, workers: int = 2) -> None:
    """Make the files of several sets, on several cores, and the booklet of solutions."""
    from desk import booklet

    if len(sets) > 1 and workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for line in pool.map(build_one, sets, [out] * len(sets), [solutions] * len(sets)):
                print(line, flush=True)
    else:
        for one in sets:
            print(build_one(one, out, solutions), flush=True)
    if solutions and any(one.solved for one in sets):
        booklet.write(out / "solutions")


def run(arguments: argparse.Namespace) -> int:
    """The command `build`."""
    if arguments.private:
        from desk import overlay

        try:
            sets = overlay.sets(Path(arguments.private).expanduser(), arguments.only)
        except overlay.Refused as error:
            print(error, file=sys.stderr)
            return 1
        out = Path(arguments.private).expanduser() / "built"
    else:
        sets, out = public_sets(arguments.only), BUILT
    if not sets:
        print(f"no set to build{' is called ' + ', '.join(arguments.only) if arguments.only else ''}", file=sys.stderr)
        return 1
    if not arguments.only:
        for name in ("student", "autograder", "solutions"):
            shutil.rmtree(out / name, ignore_errors=True)
    build(sets, out, solutions=not arguments.quick, workers=arguments.workers)
    print(f"all in {os.path.relpath(out)}")
    return 0


def add_parser(commands: Any) -> None:
    """Register the command `build`."""
    made = commands.add_parser("build", help="make the students' notebooks, the archives of the grader, and the solutions")
    made.add_argument("--only", action="append", default=[], metavar="part1", help="one set (may be given several times)")
    made.add_argument("--private", metavar="folder", help="build the graded sets with the solutions and hidden checks of this folder, into its folder built")
    made.add_argument("--quick", action="store_true", help="without executed solutions and booklet")
    made.add_argument("--workers", type=int, default=2)
    made.set_defaults(run=run)

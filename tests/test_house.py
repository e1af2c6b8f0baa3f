"""The rules of the house: floors, docstrings, notebook sources, and what may stand in a file."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "deeplimits"

FLOORS = {
    1: ("activations", "devices", "moments", "layers", "metrics", "functionals", "datasets"),
    2: ("engine",),
    3: ("ergodic", "cutoff", "meanfield", "criticality", "percolation", "topology", "training", "masking"),
    4: ("sweeping", "probing"),
    5: ("plots", "explorer", "coursework", "cli"),
}
FLOOR_OF = {module: floor for floor, modules in FLOORS.items() for module in modules}
NEED_NO_OTHER = ("percolation", "topology", "explorer", "coursework")  # than the one below
FOR_ALL = "devices"
LONGEST_MODULE = 450  # "about 400 lines", then it becomes a folder
LONGEST_NOTEBOOK_FUNCTION = 10
LABEL = re.compile(r"^(thm|prop|lem|def|cor|exm)-[a-z0-9]+(-[a-z0-9]+)*$")
STATEMENTS = ("theorem", "proposition", "lemma", "definition", "corollary", "example")


# --- sources ---------------------------------------------------------------------------------------


@functools.cache
def tracked_files() -> tuple[Path, ...]:
    """The files of the repository: tracked, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this copy is no git clone, so which files belong to the repository is unknown")
    return tuple(path for name in sorted(set(listing.split("\0"))) if name and (path := ROOT / name).is_file())


@functools.cache
def text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


SOURCES = sorted(PACKAGE.rglob("*.py"))
each_source = pytest.mark.parametrize("path", SOURCES, ids=name_of)


def module_of(path: Path) -> str:
    """The module of the package a file belongs to: `layers/base.py` belongs to `layers`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def names_a_chapter(path: Path) -> bool:
    """Modules of ideas belong to a chapter; the front file of a folder speaks for the folder."""
    at_the_front = path.parent == PACKAGE or (path.parent.parent == PACKAGE and path.stem == "__init__")
    return at_the_front and FLOOR_OF.get(module_of(path), 5) <= 3


def is_private(path: Path) -> bool:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return any(part.startswith("_") and part != "__init__" for part in parts)


# --- floors ----------------------------------------------------------------------------------------


def imports_of(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, lazily or not; '' is the package itself."""
    package = ("deeplimits", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for parts in names:
            if parts[0] == "deeplimits":
                yield parts[1] if len(parts) > 1 and _is_module(parts[1]) else ""


def _is_module(name: str) -> bool:
    return (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir()


@each_source
def test_every_module_has_a_floor(path: Path) -> None:
    module = module_of(path)
    assert module.startswith("_") or module in FLOOR_OF, f"{module} stands on no floor: give it one in FLOORS"


@each_source
def test_imports_never_go_up(path: Path) -> None:
    module = module_of(path)
    if module == "__init__":
        return
    for imported in imports_of(path):
        assert imported, f"{name_of(path)} imports the whole package; import the module it needs"
        if imported == module or imported.startswith("_"):
            continue
        assert module in FLOOR_OF, f"{module} is below all floors and imports {imported}"
        assert module not in NEED_NO_OTHER or imported == FOR_ALL, f"{module} needs no other module, and imports {imported}"
        assert FLOOR_OF[imported] <= FLOOR_OF[module], f"{module} imports {imported}, a floor up"


@functools.cache
def parts_of_the_book() -> dict[str, set[str]]:
    """The titles of each part: its own and those of its chapters."""
    found: dict[str, set[str]] = {}
    for part in yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]:
        if match := re.match(r"Part ([IVX]+) — (.*)", part["caption"]):
            pages = [(ROOT / f"{c['file']}.md").read_text(encoding="utf-8").split("\n---\n", 1)[-1] for c in part["chapters"]]
            found[match[1]] = {match[2], *(re.search(r"^# (.*)", page, re.M)[1] for page in pages)}
    return found


@each_source
def test_chapters_in_docstrings_exist(path: Path) -> None:
    """What a module's first line names is a chapter, or a part, of the part that it says."""
    first = (ast.get_docstring(tree_of(path)) or "").partition("\n")[0]
    for number, titles in re.findall(r"Part ([IVX]+), (\*[^;)]*\*)", first):
        for title in re.findall(r"\*([^*]+)\*", titles):
            assert title in parts_of_the_book()[number], f"Part {number} has no chapter {title!r}"


def test_imports_make_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        graph.setdefault(module_of(path), set()).update(m for m in imports_of(path) if m != module_of(path))
    graph.pop("__init__", None)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("imports make a circle: " + " -> ".join(error.args[1]))


def test_no_module_bears_the_name_of_a_public_function() -> None:
    # `import deeplimits.x` would otherwise yield the function, or hide it
    names: dict[str, set[str]] = {}
    for path in SOURCES:
        names.setdefault(module_of(path), set()).update(public_names(path))
    clashes = set().union(*names.values()) & set(names)
    for module, public in names.items():
        clashes |= {f"{module}.{path.stem}" for path in (PACKAGE / module).glob("*.py") if path.stem in public}
    assert not clashes, sorted(clashes)


@each_source
def test_modules_are_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_MODULE, f"{lines} lines: make it a folder of the same name with the same public names"


# --- code ------------------------------------------------------------------------------------------

FACTORIES = (
    "arange empty eye full linspace logspace ones rand randint randn randperm scalar_tensor tensor zeros".split()
)


@each_source
def test_tensors_are_created_on_a_named_device(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        assert node.func.attr != "cuda", f"{name_of(path)}:{node.lineno}: .cuda()"
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "torch" and node.func.attr in FACTORIES:
            named = any(keyword.arg in ("device", None) for keyword in node.keywords)
            assert named, f"{name_of(path)}:{node.lineno}: torch.{node.func.attr} without device="


@each_source
def test_module_docstring_and_annotations_import(path: Path) -> None:
    tree = tree_of(path)
    if not tree.body:
        return
    first = (ast.get_docstring(tree) or "").partition("\n")[0]
    assert first, "a module begins with a docstring"
    if names_a_chapter(path):
        assert re.search(r"\bParts? [IVX]+", first), (
            f"the first line names the chapter, '... (Part I, *Title*).': {first}"
        )
    futures = {a.name for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__" for a in n.names}
    if any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in tree.body):
        assert "annotations" in futures


def exported(path: Path) -> set[str] | None:
    """The names in a file's `__all__`; None if it has none."""
    for node in tree_of(path).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return {c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)}
    return None


def public_names(path: Path) -> set[str]:
    """What a reader may call: `__all__` of the module, which in a folder is that of its `__init__.py`."""
    front = PACKAGE / module_of(path) / "__init__.py"
    names = exported(front if front.exists() else path)
    defined = {node.name for node in tree_of(path).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return {name for name in (defined if names is None else defined & names) if not name.startswith("_")}


def public_definitions() -> Iterator[Any]:
    for path in SOURCES:
        names = set() if is_private(path) else public_names(path)
        for node in tree_of(path).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names:
                yield pytest.param(path, node, id=f"{name_of(path)}::{node.name}")


@pytest.mark.parametrize(("path", "node"), list(public_definitions()))
def test_public_names_are_documented(path: Path, node: ast.FunctionDef | ast.ClassDef) -> None:
    docstring = ast.get_docstring(node)
    assert docstring, f"{node.name} has no docstring"
    summary, _, rest = docstring.partition("\n")
    assert summary.endswith((".", "?")), f"{node.name}: the summary is one line, a sentence; got {summary!r}"
    assert not rest or rest.startswith("\n"), f"{node.name}: a blank line follows the summary"
    if isinstance(node, ast.FunctionDef):
        assert ">>>" in docstring, f"{node.name} has no example"
        _check_annotations(node)


def _check_annotations(node: ast.FunctionDef) -> None:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
    assert not bare and node.returns is not None, f"{node.name} lacks annotations: {bare or 'its result'}"


def test_public_classes_of_the_package_have_examples() -> None:
    import deeplimits as dl

    assert len(set(dl.__all__)) == len(dl.__all__)
    for name in dl.__all__:
        value = getattr(dl, name)
        if isinstance(value, type) or callable(value):
            assert ">>>" in (value.__doc__ or ""), f"dl.{name} has no example"


# --- texts that run --------------------------------------------------------------------------------


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def test_readme_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = python_blocks(ROOT / "README.md")
    assert blocks
    namespace: dict[str, Any] = {}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"README.md, block {number}", "exec"), namespace)
    said = capsys.readouterr().out
    assert said.strip() and "nan" not in said.lower()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_make_targets_that_are_named_exist(name: str) -> None:
    named = re.findall(r"(?:^\s*|`|' )make ([a-z][a-z-]*)", (ROOT / name).read_text(encoding="utf-8"), flags=re.M)
    assert named and set(named) <= make_targets()


def test_links_of_the_front_texts_exist() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / name).read_text(encoding="utf-8")):
            elsewhere = target.startswith(("https://", "../../"))  # ../../: the branch of the notebooks, see test_run_anywhere.py
            assert elsewhere or (ROOT / target).exists(), f"{name}: {target}"


# --- versions and the build ------------------------------------------------------------------------


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_one_version_everywhere() -> None:
    import deeplimits as dl

    version = project()["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert newest and newest.group(1) == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert getattr(dl, "__version__", version) == version


def test_constraints_meet_the_floors() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, _, version = line.partition(";")[0].strip().partition("==")
            assert version and "+" not in version, f"a constraint is name==version: {line}"
            tested[canonicalize_name(name)] = version
    wanted = [*project()["dependencies"], *(r for e in project()["optional-dependencies"].values() for r in e)]
    for requirement in map(Requirement, wanted):
        version = tested.get(canonicalize_name(requirement.name))
        assert version, f"constraints.txt lacks {requirement.name}"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} is not met by {version}"
        assert "==" not in str(requirement.specifier), f"a floor, not a pin: {requirement}"


def test_ci_runs_the_tests_and_the_book() -> None:
    run = ROOT / ".ci" / "run"
    source = run.read_text(encoding="utf-8")
    assert os.access(run, os.X_OK)
    assert re.search(r"\bmake test\b", source) and re.search(r"\bmake book\b", source)
    assert "DEEPLIMITS_REQUIRE_BROWSER=1" in source


def test_only_ci_calls_apt() -> None:
    apt = re.compile(r"\bapt(?:-get)? +(?:-\S+ +)*install\b")
    for path in tracked_files():
        if name_of(path) != ".ci/run" and (text := text_of(path)):
            assert not apt.search(text), name_of(path)


@pytest.mark.slow
def test_workflows_pass_actionlint() -> None:
    program = shutil.which("actionlint")
    if program is None:
        pytest.skip("actionlint, a program that only the authors of workflows need, is not installed")
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    done = subprocess.run([program, *map(str, workflows)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_derive_the_address_of_the_repository() -> None:
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        assert yaml.safe_load(text)["jobs"]
        assert not re.search(r"github\.com/[\w-]+/[\w-]+", text), f"{path.name} names a repository"


# --- files -----------------------------------------------------------------------------------------

NOT_IN_A_FILE = {
    "a path of one machine": r"(?<![\w.:/<{)\]-])/(?:home|root|Users|work|opt|mnt|tmp)/\w",
    "a host of a package registry": r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs|anaconda\.org",
    "a secret": r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:ghp|gho|ghs|github_pat|glpat|hf)[_-]\w{20,}|\bAKIA[0-9A-Z]{16}\b",
    "a mark of an unfinished text": r"\b(?:TODO|FIXME|XXX|lorem ipsum)\b",
}


@pytest.mark.parametrize("what", NOT_IN_A_FILE)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(NOT_IN_A_FILE[what])
    found = []
    for path in tracked_files():
        if path != Path(__file__).resolve() and (text := text_of(path)):
            found += [f"{name_of(path)}: {match.group()!r}" for match in pattern.finditer(text)]
    assert not found, f"{what}: " + "; ".join(found[:10])


def test_files_are_small() -> None:
    sizes = {name_of(path): path.stat().st_size for path in tracked_files()}
    assert not {name: size for name, size in sizes.items() if size > 2_000_000}
    assert sum(size for name, size in sizes.items() if name.startswith("book/results/")) < 10_000_000


def test_notebook_sources_hold_no_outputs() -> None:
    for path in tracked_files():
        if path.suffix != ".ipynb":
            continue
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs") and cell.get("execution_count") is None, name_of(path)


# --- chapters --------------------------------------------------------------------------------------


class Chapter:
    """A chapter's source: its header, its cells and its directives."""

    def __init__(self, path: Path) -> None:
        import jupytext

        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.notebook = jupytext.reads(self.text, fmt="md:myst")
        self.code = [cell for cell in self.notebook.cells if cell.cell_type == "code"]
        self.prose = "\n\n".join(cell.source for cell in self.notebook.cells if cell.cell_type != "code")

    def directives(self, name: str) -> list[str | None]:
        """The labels of all directives of this name, None where one has no label."""
        pattern = r"^[`:]{3,}\{" + re.escape(name) + r"\}[^\n]*\n((?:[ \t]*:[\w-]+:[^\n]*\n)*)"
        options = re.findall(pattern, self.text, flags=re.MULTILINE)
        labels = [re.search(r":label:\s*(\S+)", option) for option in options]
        return [label.group(1) if label else None for label in labels]

    def statements(self) -> list[str | None]:
        return [label for kind in STATEMENTS for label in self.directives(f"prf:{kind}")]


def tags_of(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def tree_of_cell(cell: Any) -> ast.Module:
    return ast.parse(re.sub(r"^(\s*)[%!]", r"\1# ", cell.source, flags=re.MULTILINE))


CHAPTERS = sorted((ROOT / "book").glob("part*/**/*.md"))
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=name_of)
chapter = functools.cache(Chapter)


@each_chapter
def test_chapter_header(path: Path) -> None:
    metadata = chapter(path).notebook.metadata
    representation = metadata["jupytext"]["text_representation"]
    assert representation["extension"] == ".md" and representation["format_name"] == "myst"
    assert metadata["kernelspec"]["name"] == "python3"
    assert name_of(path).removesuffix(".md") in (ROOT / "_toc.yml").read_text(encoding="utf-8")


@each_chapter
def test_chapter_front_matter(path: Path) -> None:
    opening = chapter(path).prose[:4000].lower()
    assert re.search(r"^# \S", chapter(path).prose, flags=re.MULTILINE), "a title"
    for what, pattern in {
        "learning goals": r"you will|you can|goals",
        "prerequisites": r"prerequisite|you need|before you",
        "time to read and to run": r"minute|second",
    }.items():
        assert re.search(pattern, opening), f"the front matter names {what}"


@each_chapter
def test_chapter_has_one_cell_of_parameters(path: Path) -> None:
    assert sum("parameters" in tags_of(cell) for cell in chapter(path).code) == 1


@each_chapter
def test_chapter_has_an_explorer(path: Path) -> None:
    assert any("explore(" in cell.source for cell in chapter(path).code)


@each_chapter
def test_chapter_exercises_have_solutions(path: Path) -> None:
    exercises = chapter(path).directives("exercise") + chapter(path).directives("exercise-start")
    solved = re.findall(r"^[`:]{3,}\{solution(?:-start)?\}[ \t]*(\S+)", chapter(path).text, flags=re.MULTILINE)
    assert exercises and None not in exercises, "exercises, each with a label"
    assert sorted(set(map(str, exercises))) == sorted(set(solved)), "each exercise has its solution"


@each_chapter
def test_chapter_statements_have_labels(path: Path) -> None:
    for label in chapter(path).statements():
        assert label and LABEL.match(label), f"a statement's label is like thm-two-words; got {label}"


@each_chapter
def test_chapter_functions_are_short(path: Path) -> None:
    for cell in chapter(path).code:
        for node in ast.walk(tree_of_cell(cell)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                assert lines <= LONGEST_NOTEBOOK_FUNCTION, f"{node.name} has {lines} lines; move it to the package"
            assert not isinstance(node, ast.ClassDef), f"class {node.name}: classes belong to the package"


@each_chapter
def test_chapter_figures_are_described(path: Path) -> None:
    draws = re.compile(r"\bplots\.(?!use_style|describe)\w+\(|\bplt\.(?:subplots|figure|show)\(")
    for cell in chapter(path).code:
        if draws.search(cell.source):
            # plots.show writes the alternative text itself where none is given
            described = re.search(r"\balt\s*=|(?<!plt\.)\bshow\(", cell.source) or "alt" in cell.metadata.get("mystnb", {}).get("image", {})
            assert described, f"a figure without alt text:\n{cell.source}"
    for alt in re.findall(r"!\[([^\]]*)\]\(", chapter(path).prose):
        assert alt.strip(), "an image without alt text"


@each_chapter
def test_chapter_ends_with_the_package_and_further_reading(path: Path) -> None:
    headings = " ".join(re.findall(r"^#+ (.*)$", chapter(path).prose, flags=re.MULTILINE)).lower()
    assert "in the package" in headings and "further reading" in headings


def test_statement_labels_are_unique() -> None:
    labels = [label for path in CHAPTERS for label in chapter(path).statements()]
    assert len(labels) == len(set(labels)), sorted({str(label) for label in labels if labels.count(label) > 1})


def statements_named_by_tests() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "statement":
                for argument in node.args:
                    if isinstance(argument, ast.Constant):
                        yield name_of(path), str(argument.value)


def test_statements_named_by_tests_stand_in_the_book() -> None:
    labels = {label for path in CHAPTERS for label in chapter(path).statements()}
    unknown = {f"{label} ({file})" for file, label in statements_named_by_tests() if label not in labels}
    assert not unknown, f"named by a test, but no statement of the book: {sorted(unknown)}"

"""What lets the notebooks run elsewhere: the set-up cell, their list in the README, the container and Binder files."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import jupytext
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TORCH = "9.9.9+cu999"


@pytest.fixture(scope="module")
def book() -> Any:
    """The extension that writes the notebooks."""
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    try:
        return importlib.import_module("book_notebooks")
    finally:
        sys.path.pop(0)


# --- the set-up cell -------------------------------------------------------------------------------


class Host:
    """A machine made of empty packages: torch and numpy, and a pip that writes down what it is asked."""

    def __init__(self, folder: Path, *, installed: bool = False, fails: bool = False, gpu: bool = False, preinstalled: bool = True) -> None:
        self.site, self.cwd = folder / "site", folder / "content" / "here"
        self.cwd.mkdir(parents=True)
        self.package("torch", TORCH if preinstalled else None, f"""
            __version__ = {TORCH!r}
            class cuda:
                is_available = staticmethod(lambda: {gpu})
                get_device_name = staticmethod(lambda: "Imaginary A1")
        """)
        self.package("numpy", "8.8.8" if preinstalled else None, "")
        self.package("pip", "1", "")
        install = f"""
            import json, pathlib, sys
            limits = pathlib.Path(sys.argv[sys.argv.index("-c") + 1]).read_text()
            pathlib.Path({str(folder / "asked.json")!r}).write_text(json.dumps([sys.argv[1:], limits.split()]))
            if {fails}:
                sys.exit("ERROR: no matching distribution")
            site = pathlib.Path({str(self.site)!r})
            (site / "deeplimits").mkdir()
            (site / "deeplimits" / "__init__.py").write_text("")
            (site / "deeplimits-7.dist-info").mkdir()
            (site / "deeplimits-7.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\\nName: deeplimits\\nVersion: 7\\n")
        """
        (self.site / "pip" / "__main__.py").write_text(textwrap.dedent(install), encoding="utf-8")
        if installed:
            self.package("deeplimits", "7", "set_default_device = lambda device: print(f'runs go to {device}')")
        self.asked = folder / "asked.json"

    def package(self, name: str, version: str | None, source: str) -> None:
        (self.site / name).mkdir(parents=True)
        (self.site / name / "__init__.py").write_text(textwrap.dedent(source), encoding="utf-8")
        if version:
            info = self.site / f"{name}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")

    def run(self, cell: str, **variables: str) -> subprocess.CompletedProcess:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP")}
        command = [sys.executable, "-S", "-c", cell]  # -S: none of the packages that are really here
        return subprocess.run(command, env={**kept, "PYTHONPATH": str(self.site), **variables}, cwd=self.cwd, capture_output=True, text=True)

    def pip(self) -> tuple[list[str], list[str]]:
        """What pip was given, and the limits it was to keep."""
        return tuple(json.loads(self.asked.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def cell(book: Any) -> str:
    return book.first_cell("https://github.com/someone/their-fork", [])


def test_set_up_installs_from_the_repository(cell: str, tmp_path: Path) -> None:
    host = Host(tmp_path)
    done = host.run(cell)
    assert done.returncode == 0, done.stderr
    given, limits = host.pip()
    assert given[-1] == "git+https://github.com/someone/their-fork"
    assert sorted(limits) == ["numpy==8.8.8", f"torch=={TORCH}"], "an installed torch or numpy stays as it is"
    assert "-U" not in given and "--upgrade" not in given
    assert re.fullmatch(rf"deeplimits 7, torch {re.escape(TORCH)}, on \d+ CPU cores\n", done.stdout), "one line says what runs where"


def test_set_up_installs_nothing_twice(cell: str, tmp_path: Path) -> None:
    host = Host(tmp_path, installed=True)
    done = host.run(cell)
    assert done.returncode == 0, done.stderr
    assert not host.asked.exists()


def test_set_up_takes_another_source(cell: str, tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.run(cell, DEEPLIMITS_SOURCE="deeplimits.whl").returncode == 0
    assert host.pip()[0][-1] == "deeplimits.whl"


def test_set_up_without_torch_leaves_the_choice_to_pip(cell: str, tmp_path: Path) -> None:
    host = Host(tmp_path, preinstalled=False)
    assert host.run(cell).returncode == 0
    assert host.pip()[1] == []


def test_set_up_says_why_it_failed(cell: str, tmp_path: Path) -> None:
    done = Host(tmp_path, fails=True).run(cell)
    assert done.returncode and "could not install deeplimits" in done.stderr and "no matching distribution" in done.stderr


def test_set_up_takes_and_names_the_gpu(cell: str, tmp_path: Path) -> None:
    host = Host(tmp_path, installed=True, gpu=True)
    done = host.run(cell)
    assert re.fullmatch(r"runs go to cuda\ndeeplimits 7, .* on Imaginary A1\n", done.stdout), done.stdout + done.stderr
    refused = host.run(cell.replace("use_gpu = True", "use_gpu = False"))
    assert re.fullmatch(r"deeplimits 7, .* CPU cores\n", refused.stdout), refused.stdout + refused.stderr


@pytest.mark.parametrize("colab", [True, False])
@pytest.mark.parametrize("published", [True, False])
def test_set_up_finds_stored_results(colab: bool, published: bool, book: Any, tmp_path: Path) -> None:
    """Colab has no clone: it fetches them where the notebook expects them. Elsewhere nothing is written."""
    from tests.site.browser import served

    forge = tmp_path / "forge"
    (forge / "their" / "fork" / "raw" / "notebooks" / "book" / "results").mkdir(parents=True)
    if published:
        (forge / "their" / "fork" / "raw" / "notebooks" / "book" / "results" / "far.nc").write_bytes(b"numbers")
    host = Host(tmp_path, installed=True)
    before = "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab')\n" if colab else ""
    with served(forge) as address:
        done = host.run(before + book.first_cell(f"{address.rstrip('/')}/their/fork", ["far.nc"]), no_proxy="*")
    assert done.returncode == 0, done.stderr
    file = host.cwd.parent / "results" / "far.nc"
    if colab and published:
        assert file.read_bytes() == b"numbers" and len(done.stdout.splitlines()) == 1
    else:
        assert not file.exists() and "Stored runs that are not here: far.nc" in done.stdout
    assert not colab or not list(host.cwd.iterdir())


def test_stored_results_of_a_page_are_found(book: Any) -> None:
    """Every stored file that a chapter reads is one that its set-up cell knows."""
    for path in sorted((ROOT / "book").rglob("*.md")):
        code = "\n".join(c.source for c in jupytext.read(path, fmt="md:myst").cells if c.cell_type == "code")
        named = set(re.findall(r"results/([\w-]+\.nc)", code)) | {f"{n}.nc" for n in re.findall(r'stored\("([\w-]+)"', code)}
        assert named <= set(book.stored(code)), path.name


# --- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("remote", "branch", "raw", "colab"), [
    ("https://github.com/a/b", "https://github.com/a/b/tree/notebooks", "https://github.com/a/b/raw/notebooks", True),
    ("https://gitlab.example/a/b", "https://gitlab.example/a/b/-/tree/notebooks", "https://gitlab.example/a/b/-/raw/notebooks", False),
])
def test_addresses_of_the_branch(remote: str, branch: str, raw: str, colab: bool, book: Any) -> None:
    address = book.book_address
    assert (address.notebooks(remote), address.raw(remote), address.on_colab(remote)) == (branch, raw, colab)


FORK = {"GITHUB_REPOSITORY": "teacher/Her-Course", "GITHUB_SERVER_URL": "https://github.com"}


@pytest.mark.parametrize(("environment", "repository", "site"), [
    (FORK, "https://github.com/teacher/Her-Course", "https://teacher.github.io/Her-Course/"),
    ({**FORK, "GITHUB_REPOSITORY": "teacher/teacher.github.io"}, "https://github.com/teacher/teacher.github.io", "https://teacher.github.io/"),
    ({**FORK, "DEEPLIMITS_SITE_URL": "https://course.example/deep"}, "https://github.com/teacher/Her-Course", "https://course.example/deep/"),
    ({"GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://forge.example/"}, "https://forge.example/a/b", "https://a.github.io/b/"),
])
def test_addresses_of_a_fork(environment: dict[str, str], repository: str, site: str, book: Any) -> None:
    address = book.book_address
    assert address.repository(environment) == repository
    assert address.site(repository, environment) == site


@pytest.mark.parametrize("remote", ["https://github.com/teacher/Her-Course.git", "git@github.com:teacher/Her-Course.git",
                                    "ssh://git@github.com:22/teacher/Her-Course", "https://x-token:secret@github.com/teacher/Her-Course"])
def test_address_of_a_clone(remote: str, book: Any) -> None:
    assert book.book_address.from_remote(remote) == "https://github.com/teacher/Her-Course"


def test_address_without_a_forge(book: Any, tmp_path: Path) -> None:
    assert book.book_address.from_remote("../elsewhere") is None
    assert book.book_address.repository({}, tmp_path) == book.book_address.PLACEHOLDER


def test_the_address_stands_in_one_place(book: Any) -> None:
    """Neither sources nor front texts name the repository or the site: a fork changes nothing."""
    from tests.test_house import name_of, text_of, tracked_files

    slug = book.book_address.slug(book.book_address.PLACEHOLDER)
    owner = slug.split("/")[0]
    named = re.compile(rf"{slug}(?![\w-])|{owner}\.(?:github|gitlab)\.io")
    assert [name_of(p) for p in tracked_files() if named.search(text_of(p) or "") and p != Path(__file__)] == ["book/_ext/book_address.py"]


@pytest.mark.slow
def test_a_fork_leads_to_itself(book: Any, tmp_path: Path) -> None:
    """Three pages, built as the forge of a fork builds them: no link, button or picture leads back here."""
    (tmp_path / "toc.yml").write_text("format: jb-book\nroot: book/intro\nchapters:\n  - file: book/using\n  - file: book/prerequisites\n", encoding="utf-8")
    variables = {k: v for k, v in os.environ.items() if k not in ("DEEPLIMITS_SITE_URL", "MPLBACKEND")}
    command = [Path(sys.executable).parent / "jupyter-book", "build", str(ROOT), "--toc", str(tmp_path / "toc.yml"), "--path-output", str(tmp_path), "-q"]
    if (ROOT / "_build" / ".jupyter_cache").is_dir():  # what was executed for the book need not be executed again
        (tmp_path / "_build").mkdir()
        (tmp_path / "_build" / ".jupyter_cache").symlink_to(ROOT / "_build" / ".jupyter_cache")
    done = subprocess.run(command, cwd=ROOT, env={**variables, **FORK, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}, capture_output=True, text=True)
    html, made = tmp_path / "_build" / "html", tmp_path / "_build" / "notebooks"
    assert (html / "book" / "using.html").is_file(), done.stdout + done.stderr
    files = [*html.rglob("*.html"), *made.rglob("*.ipynb"), made / "README.md", *html.glob("*.xml")]
    texts = {f: f.read_text(encoding="utf-8") for f in files}
    home = re.compile(r"https://github\.com/[\w./-]+|https://[\w-]+\.github\.io[\w./-]*|https://colab\.research\.google\.com/github/[\w./-]+")
    software = re.compile(r"https://(?:github\.com/(?:executablebooks|sphinx-doc|pydata)/|(?:[\w-]+\.)?(?:pydata-sphinx-theme|sphinx-book-theme))")
    for file, text in texts.items():
        foreign = [url for url in home.findall(text) if "/teacher/Her-Course" not in url
                   and not url.startswith("https://teacher.github.io/Her-Course") and not software.match(url)]
        assert not foreign, f"{file.name}: {foreign[:3]}"
        assert "deep-limits.github.io" not in text
    page, notebook = texts[html / "book" / "prerequisites.html"], texts[made / "book" / "prerequisites.ipynb"]
    assert "https://colab.research.google.com/github/teacher/Her-Course/blob/notebooks/book/prerequisites.ipynb" in page
    assert "https://github.com/teacher/Her-Course/edit/main/book/prerequisites.md" in page
    assert "git+https://github.com/teacher/Her-Course" in notebook
    assert "https://teacher.github.io/Her-Course/book/prerequisites.html" in notebook
    assert texts[made / "README.md"].count("/teacher/Her-Course/blob/notebooks/") == 2


def test_workflow_publishes_what_the_build_wrote(book: Any) -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text(encoding="utf-8"))["jobs"]
    uploads = [s["with"] for s in jobs["build"]["steps"] if "upload-artifact" in s.get("uses", "")]
    assert {"notebooks": "_build/notebooks"} == {w["name"]: w["path"] for w in uploads}
    publish = jobs["notebooks"]["steps"][-1]["run"]
    assert f"--initial-branch={book.book_address.NOTEBOOKS}\n" in publish and "$GITHUB_REPOSITORY" in publish


# --- the README's list -----------------------------------------------------------------------------


def pages_with_code() -> list[str]:
    """In the order of the book."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = [contents["root"]]
    for part in contents["parts"]:
        for entry in part["chapters"]:
            pages += [entry["file"], *(e["file"] for e in entry.get("sections", []))]
    return [page for page in pages if re.search(r"^kernelspec:", (ROOT / f"{page}.md").read_text(encoding="utf-8"), re.M)]


def test_readme_lists_every_notebook() -> None:
    """By its title, and with a link that a forge resolves inside the repository it shows, a fork's too."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"\[([^]]+)\]\(\.\./\.\./blob/notebooks/([^)]+)\.ipynb\)", text)
    assert [page for _, page in listed] == pages_with_code()
    for title, page in listed:
        heading = re.search(r"^# (.+)$", (ROOT / f"{page}.md").read_text(encoding="utf-8"), re.M)
        assert heading and title == heading[1].strip()
    assert "(../../tree/notebooks)" in text
    assert not re.search(r"colab\.research\.google\.com/github", text), "a link to Colab names a repository: not right in a fork"


# --- containers ------------------------------------------------------------------------------------


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_container_and_binder_build_the_environment_of_make() -> None:
    """pyproject.toml and constraints.txt say which versions; no second list."""
    make = re.search(r"pip install .*?-c constraints\.txt -e '(\S+)'", read("Makefile").replace("\\\n", " "))
    assert make
    assert f"pip install --quiet --no-cache-dir -c constraints.txt -e '{make[1]}'" in read(".binder/postBuild")
    assert 'make "$VENV/.installed"' in read(".devcontainer/Dockerfile"), "the container lets make install"
    binder = yaml.safe_load(read(".binder/environment.yml"))["dependencies"]
    assert binder[1:] == ["pip"] and binder[0].startswith("python=")
    assert not list((ROOT / ".binder").glob("requirements*")) and not (ROOT / ".binder" / "Dockerfile").exists()
    for name in (".binder/postBuild", ".devcontainer/Dockerfile", ".devcontainer/devcontainer.json"):
        assert not re.search(r"==|>=|~=", read(name)), f"{name} names a version of a package"


def test_container_and_binder_use_a_supported_python() -> None:
    floor = re.search(r'requires-python = ">=([\d.]+)"', read("pyproject.toml"))
    used = {re.search(r"^FROM python:([\d.]+)", read(".devcontainer/Dockerfile"), re.M)[1], re.search(r"python=([\d.]+)", read(".binder/environment.yml"))[1]}
    assert floor and len(used) == 1, "both use the same interpreter"
    assert tuple(map(int, used.pop().split("."))) >= tuple(map(int, floor[1].split(".")))


def test_container_files_are_well_formed() -> None:
    json.loads(read(".devcontainer/devcontainer.json"))
    assert os.access(ROOT / ".binder" / "postBuild", os.X_OK)
    if os.name != "nt":
        assert subprocess.run(["bash", "-n", str(ROOT / ".binder" / "postBuild")], capture_output=True).returncode == 0
    lines = re.sub(r"\\\n", " ", read(".devcontainer/Dockerfile")).splitlines()
    words = {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}
    assert words <= {"FROM", "ARG", "ENV", "RUN", "USER", "WORKDIR", "COPY", "EXPOSE", "CMD"}
    for line in lines:
        if line.startswith("CMD"):
            assert isinstance(json.loads(line[3:]), list)

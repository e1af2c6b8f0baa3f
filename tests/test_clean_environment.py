"""Every notebook runs from top to bottom where only a host's packages are installed: with the versions of
constraints.txt, and with the floors of pyproject.toml.

The first run downloads PyTorch for both (with pip pointed at an index of CPU builds the floors need far less).  What was
installed and how long each notebook took stays in ``_build/clean``.  `DEEPLIMITS_SITE` names another build of the book.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.clean import environment as clean
from tests.site import browser as tools

pytestmark = [pytest.mark.slow, pytest.mark.browser]  # they need the built site, though no browser opens it

MADE = sorted(tools.NOTEBOOKS.rglob("*.ipynb")) if tools.NOTEBOOKS.is_dir() else []
NAMES = [p.relative_to(tools.NOTEBOOKS).with_suffix("").as_posix() for p in MADE] or ["none"]
kinds = pytest.mark.parametrize("kind", clean.KINDS)


@pytest.fixture(scope="session")
def run_id(testrun_uid: str) -> Iterator[str]:
    with clean.visit(testrun_uid):
        yield testrun_uid


@pytest.fixture
def environment(kind: str, run_id: str) -> clean.Environment:
    tools.need_site()
    if not MADE:
        tools.lacking("the site holds no notebooks")
    setup = next(c.source for c in nbformat.read(MADE[0], 4).cells if "setup" in c.metadata.get("tags", []))
    found = clean.ready(kind, setup, run_id)
    if found.lacking:
        # what pip cannot find or fetch is the machine's affair; that the set-up cell fails is ours
        (pytest.fail if found.lacking.startswith("the set-up cell") else pytest.skip)(found.lacking)
    return found


@kinds
def test_set_up_keeps_torch_and_numpy(kind: str, environment: clean.Environment) -> None:
    """Neither version nor any file of the two changes, and one line says what runs where."""
    assert environment.before == environment.after
    said = environment.said.strip().splitlines()
    assert re.search(rf"deeplimits \S+, torch {re.escape(environment.after['torch'][0])}\S*, on \d+ CPU cores", said[0]), environment.said
    assert all(line.startswith("Stored runs") for line in said[1:])


@kinds
def test_environment_is_what_it_says(kind: str, environment: clean.Environment) -> None:
    from packaging import utils
    from packaging import version as packaging

    found = {utils.canonicalize_name(name): version for name, version in environment.versions.items()}
    assert "jupyter-book" not in found and "pytest" not in found, "a clean environment holds no tools of ours"
    if kind == "floors":
        for name, floor in clean.floors().items():
            version = packaging.Version(found[utils.canonicalize_name(name)])
            assert packaging.Version(version.public) == packaging.Version(floor), f"{name} {version} is not the floor {floor}"


@kinds
@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs(name: str, kind: str, environment: clean.Environment, tmp_path: Path) -> None:
    notebook, seconds = clean.execute(environment, tools.NOTEBOOKS / f"{name}.ipynb", tmp_path)
    with environment.times.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow([name, f"{seconds:.1f}"])
    outputs = [(cell, output) for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shouted = [o.text for _, o in outputs if o.output_type == "stream" and o.name == "stderr"]
    assert not shouted, "a reader cannot act on a warning:\n" + "\n".join(shouted)
    for _, output in outputs:
        check_pictures(output.get("data", {}))
    assert not [p.name for p in tmp_path.iterdir()], "a notebook leaves nothing behind"


def check_pictures(data: dict[str, Any]) -> None:
    """A picture says what is seen, in its own text or in that of the figure."""
    assert "image/png" not in data, "a bare picture has no words"
    html = "".join(data.get("text/html", ""))
    assert not re.search(r"<img(?![^>]*\balt=\"[^\"]+)", html)
    depth = 0
    for tag in re.findall(r"<svg\b[^>]*>|</svg>", html):
        if depth == 0:  # a drawing inside a drawing is part of it
            assert re.search(r'aria-label="[^"]+"|aria-hidden="true"', tag), tag
        depth += -1 if tag == "</svg>" else not tag.endswith("/>")

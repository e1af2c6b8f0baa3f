"""The notebooks made for Colab: the source's cells, prose without a directive, links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

from tests.site import browser as tools

pytestmark = pytest.mark.browser  # they need the built site, though no browser opens it

MADE = sorted(tools.NOTEBOOKS.rglob("*.ipynb")) if tools.NOTEBOOKS.is_dir() else []
NAMES = [p.relative_to(tools.NOTEBOOKS).with_suffix("").as_posix() for p in MADE]
each = pytest.mark.parametrize("name", NAMES or ["none"])
RAW = [r"^\s*(```+|:::+)\s*\{", r"\{(eq|ref|numref|doc|term|cite[:\w]*|prf:ref|glue[:\w]*)\}", r"^\([\w-]+\)=\s*$", r"\{\{",
       r"%s", r"\*\*\s*\*\*", r"\[\]\(", r"\]\(\)", r'alt=""', r"<script", r"\$\\\(", r"__[a-f0-9]{8}",
       r"<(?!/?(?:a|details|summary|img|br|sub|sup)\b)[A-Za-z/!]", r"\bdata-\w+=", r"\bsd-\w+"]
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}  # what Colab and JupyterLab understand
FOLDING = {"setup", "hide-input", "hide-cell", "remove-input", "remove-cell"}


@pytest.fixture
def pair(name: str) -> tuple[Any, Any]:
    """A generated notebook and its source."""
    tools.need_site()
    if name == "none":
        tools.lacking("the site holds no notebooks")
    source = tools.NOTEBOOKS.parents[1] / f"{name}.md"
    return nbformat.read(tools.NOTEBOOKS / f"{name}.ipynb", 4), jupytext.read(source, fmt="md:myst")


def code(notebook: Any) -> list[tuple[str, dict]]:
    return [(c.source, dict(c.metadata)) for c in notebook.cells
            if c.cell_type == "code" and "setup" not in c.metadata.get("tags", [])]


def prose(notebook: Any) -> str:
    text = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    return re.sub(r"```.*?```|`[^`\n]*`", "code", text, flags=re.S)


@each
def test_cells_are_the_source(name: str, pair: tuple[Any, Any]) -> None:
    """One for one, tags included; a cell that the page folds is folded here too, and only such a cell."""
    made, source = pair
    assert [(text, {k: v for k, v in data.items() if k not in FOLDED}) for text, data in code(made)] == code(source)
    for cell in (c for c in made.cells if c.cell_type == "code"):
        tags = set(cell.metadata.get("tags", []))
        folded = bool(tags & FOLDING) and "parameters" not in tags
        assert {k: v for k, v in cell.metadata.items() if k in FOLDED} == (FOLDED if folded else {})
    assert len({c.id for c in made.cells}) == len(made.cells)


@each
def test_nothing_was_run(name: str, pair: tuple[Any, Any]) -> None:
    cells = [c for c in pair[0].cells if c.cell_type == "code"]
    assert all(not c.outputs and c.execution_count is None for c in cells)


@each
def test_one_set_up_and_parameters(name: str, pair: tuple[Any, Any]) -> None:
    tags = [tag for c in pair[0].cells for tag in c.metadata.get("tags", [])]
    assert tags.count("setup") == 1
    if name.startswith("book/part"):
        assert tags.count("parameters") == 1, "one cell raises every size"
    assert pair[0].cells[1].metadata.tags == ["setup"], "the set-up comes first, after the title"


@each
def test_prose_is_resolved(name: str, pair: tuple[Any, Any]) -> None:
    text = prose(pair[0])
    left = {pattern: re.findall(pattern, text, re.M)[:2] for pattern in RAW if re.search(pattern, text, re.M)}
    assert not left


@each
def test_links_have_targets(name: str, pair: tuple[Any, Any]) -> None:
    text = prose(pair[0])
    here = set(re.findall(r'<a id="([^"]+)"', text))
    wanted = set(re.findall(r"\]\(#([^)\s]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    assert wanted <= here
    assert not re.findall(r"\]\((?!#|https?:|mailto:)[^)]*\)", text), "a relative link leads nowhere in Colab"


@each
def test_links_to_the_book(name: str, pair: tuple[Any, Any]) -> None:
    """Links and pictures on the book's site exist there."""
    text = prose(pair[0])
    home = re.search(rf"\(((?:https?://)\S+?)/{re.escape(name)}[.]html\)", text)
    assert home, "the notebook says where its page is"
    for path in set(re.findall(rf"{re.escape(home[1])}/([^)\"#\s]+)", text)):
        assert (tools.SITE / path).is_file(), path


@each
def test_launch_button(name: str, pair: tuple[Any, Any]) -> None:
    """The page's Colab button opens this notebook, on the branch where notebooks are published."""
    page = (tools.SITE / f"{name}.html").read_text(encoding="utf8")
    if "colab.research.google.com" not in page:
        pytest.skip("this site was built for a repository outside GitHub, which Colab cannot open, so its pages have no Colab button")
    assert re.search(rf"https://colab[.]research[.]google[.]com/github/[\w.-]+/[\w.-]+/blob/notebooks/{re.escape(name)}[.]ipynb", page)
    assert (tools.SITE / "_sources" / f"{name}.ipynb").read_bytes() == (tools.NOTEBOOKS / f"{name}.ipynb").read_bytes()


def test_every_chapter_has_one() -> None:
    tools.need_site()
    root = tools.NOTEBOOKS.parents[1]
    sources = [p for p in sorted((root / "book").glob("part*/*.md")) if "kernelspec:" in p.read_text(encoding="utf8")[:1000]]
    built = [p for p in sources if (tools.SITE / p.relative_to(root)).with_suffix(".html").is_file()]
    assert [Path(n) for n in NAMES if n.startswith("book/part")] == [p.relative_to(root).with_suffix("") for p in built]


def test_contents_list_every_notebook_once() -> None:
    """The front page of the branch: links inside the branch, to Colab, and to the book."""
    tools.need_site()
    text = (tools.NOTEBOOKS / "README.md").read_text(encoding="utf8")
    inside = re.findall(r"\]\(([^):]+)\.ipynb\)", text)
    assert sorted(inside) == sorted(NAMES)
    colab = re.findall(r"https://colab[.]research[.]google[.]com/github/[\w.-]+/[\w.-]+/blob/notebooks/([^)]+)[.]ipynb", text)
    assert colab in ([], inside)
    online = re.findall(r"\[read online\]\((\S+?)/((?:book|index)\S*?\.html)\)", text)
    assert len(online) == len(inside) and len({home for home, _ in online}) == 1
    assert all((tools.SITE / page).is_file() for _, page in online)


def test_stored_results_go_along() -> None:
    """A clone of the branch has, beside the notebooks, what they draw."""
    tools.need_site()
    kept = {p.name for p in (tools.NOTEBOOKS / "book" / "results").iterdir()}
    assert kept == {p.name for p in (tools.NOTEBOOKS.parents[1] / "book" / "results").glob("*.nc")}
    assert not list((tools.SITE / "_sources").rglob("*.nc"))


@each
def test_set_up_knows_the_stored_results(name: str, pair: tuple[Any, Any]) -> None:
    made, _ = pair
    first = next(c.source for c in made.cells if "setup" in c.metadata.get("tags", []))
    for stem in re.findall(r"results/([\w-]+)\.nc", "\n".join(text for text, _ in code(made))):
        assert f'"{stem}.nc"' in first
    assert ("results" in first) == ("results/" in "\n".join(text for text, _ in code(made)))

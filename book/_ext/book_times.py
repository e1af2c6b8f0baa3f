"""How long the pages took to execute: ``{times} 15`` says how many keep an aim of so many seconds, and lists them."""
from __future__ import annotations

from collections.abc import Iterator

from book_kit import link, numbered, register, table, text
from docutils import nodes


def in_order(env, page: str) -> Iterator[str]:
    """The pages below one, itself first, as the table of contents has them."""
    yield page
    for below in env.toctree_includes.get(page, ()):
        yield from in_order(env, below)


def runs(env) -> dict[str, float]:
    """Seconds that each page took, in the order of the book; a page without code has none."""
    told = {page: (data.get("exec_data") or {}).get("runtime") for page, data in getattr(env, "nb_metadata", {}).items()}
    return {page: told[page] for page in in_order(env, env.config.root_doc) if told.get(page) is not None}


def summary(measured: dict[str, float], aim: float) -> str:
    """Such as *In this build 13 of 29 pages keep the aim of 15 seconds*, counted as the table rounds."""
    kept, pages = sum(round(seconds, 1) <= aim for seconds in measured.values()), len(measured)
    share = f"all {pages} pages keep" if kept == pages else f"{kept} of {pages} pages {'keeps' if kept == 1 else 'keep'}"
    return (f"In this build {share} the aim of {aim:g} seconds; the slowest took {max(measured.values()):.1f} seconds, "
            f"all of them together {sum(measured.values()) / 60:.1f} minutes.")


def listing(app, here: str, given) -> list[nodes.Node]:
    measured, aim = runs(app.env), float(given)
    if not measured:
        return [text("No page of this build was executed.")]
    rows = [[text(link(app, here, page, nodes.Text(numbered(app.env, page)))), f"{seconds:.1f}"] for page, seconds in measured.items()]
    made = table(["Page", "Seconds"], rows, [85, 15], classes=())
    for row in made.findall(nodes.row):
        row.children[-1]["classes"].append("text-right")
    return [text(summary(measured, aim)), made]


def setup(app):
    register(app, "times", listing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

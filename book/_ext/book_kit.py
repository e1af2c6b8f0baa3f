"""Pages of the teacher's kit are made from other pages: a place to stand in, filled before references are resolved.

An extension registers ``{name}`` with a function ``make(app, here, given)`` that returns nodes; ``given`` is the
directive's argument, or its content read as YAML.  What these functions share stands here too.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
MAKERS: dict[str, Callable] = {}


@dataclass(frozen=True)
class Part:
    """A part of the book: its key, its caption and its chapters."""

    key: str
    caption: str
    pages: tuple[str, ...]


def parts(root: Path = ROOT) -> list[Part]:
    """The parts that the table of contents names."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf8"))
    found = [(p["caption"], tuple(c["file"] for c in p["chapters"])) for p in toc["parts"]]
    return [Part(pages[0].split("/")[1], caption, pages) for caption, pages in found if re.match(r"book/part\d", pages[0])]


def moved(found: list[nodes.Node], source: str, here: str) -> list[nodes.Node]:
    """Nodes of another page: links to pages become absolute, so that they resolve from here."""
    out = [n.deepcopy() for n in found]
    for ref in (r for n in out for r in n.findall(addnodes.pending_xref)):
        if ref.get("reftype") == "doc" and not ref["reftarget"].startswith("/"):
            folder = (ROOT / source).parent
            ref["reftarget"] = "/" + (folder / ref["reftarget"]).resolve().relative_to(ROOT).as_posix()
        ref["refdoc"] = here
    return out


def text(*children, classes=()) -> nodes.paragraph:
    return nodes.paragraph("", "", *[nodes.Text(c) if isinstance(c, str) else c for c in children], classes=list(classes))


def link(app, here: str, page: str, *words, anchor: str = "") -> nodes.reference:
    uri = app.builder.get_relative_uri(here, page) + (f"#{anchor}" if anchor else "")
    return nodes.reference("", "", *(words or (nodes.Text(app.env.titles[page].astext()),)), internal=True, refuri=uri)


def numbered(env, page: str) -> str:
    """Such as *10. The cut-off in contracting random layers*."""
    number = ".".join(map(str, env.toc_secnumbers.get(page, {}).get("", ())))
    return (f"{number}. " if number else "") + env.titles[page].astext()


def table(heading: list[str], rows: list[list], widths: list[int], classes=("ledger",)) -> nodes.table:
    """A table; a cell is a text, a node, or a list of them.  On a phone its cells stand below each other, each after its heading."""
    def cell(content, above: str = "") -> nodes.entry:
        content = content if isinstance(content, list) else [content]
        flow = [c if isinstance(c, nodes.Body) else text(c) for c in content]
        return nodes.entry("", *([text(above, classes=["above"])] if above and "ledger" in classes else []), *flow)
    group = nodes.tgroup("", *[nodes.colspec(colwidth=w) for w in widths], cols=len(widths))
    group += nodes.thead("", nodes.row("", *[cell(h) for h in heading]))
    group += nodes.tbody("", *[nodes.row("", *[cell(c, h) for c, h in zip(row, heading, strict=True)]) for row in rows])
    return nodes.table("", group, classes=list(classes))


def hours(minutes: int) -> str:
    return f"{minutes // 60}\u00a0h\u00a0{minutes % 60:02d}\u00a0min" if minutes >= 60 else f"{minutes}\u00a0min"


def clock(seconds: float | None) -> str:
    return "—" if seconds is None else f"{seconds:.0f}\u00a0s" if seconds < 120 else f"{seconds / 60:.0f}\u00a0min"


class kit(nodes.General, nodes.Element):
    """Stands where something made from other pages will be."""


class KitDirective(SphinxDirective):
    """Any of the registered names."""

    optional_arguments, final_argument_whitespace, has_content = 1, True, True

    def run(self):
        body = yaml.safe_load("\n".join(self.content)) if self.content else None
        return [kit(make=self.name, given=self.arguments[0] if self.arguments else body)]


class Fill(SphinxPostTransform):
    """Before references are resolved, so that those of the inserted texts are."""

    default_priority = 5

    def run(self, **options):
        for place in list(self.document.findall(kit)):
            made = MAKERS[place["make"]](self.app, self.env.docname, place["given"])
            if any(next(n.findall(nodes.math), None) is not None for n in made):      # Sphinx counted the formulas when it read the page
                self.env.get_domain("math").data["has_equations"][self.env.docname] = True
            place.replace_self(made)


def note(app, doctree):
    if next(doctree.findall(kit), None) is not None:
        app.env.metadata[app.env.docname]["kit"] = "1"


def rewrite(app, env):
    """These pages depend on all others."""
    return [page for page, data in env.metadata.items() if data.get("kit")]


def register(app, name: str, make) -> None:
    """A directive of the kit: ``make(app, here, given)`` returns nodes."""
    MAKERS[name] = make
    app.add_directive(name, KitDirective)


def setup(app):
    app.add_node(kit)
    app.add_post_transform(Fill)
    app.connect("doctree-read", note)
    app.connect("env-updated", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Every figure of the book as files: ``figures/<part>/<chapter>-<k>.svg`` and ``.png``, and a zip for each part.

The drawings are read from the outputs of the cells, where each is complete.  SVG keeps a transparent ground and a grey
that light and dark pages bear; PNG has dark ink on white.
"""
from __future__ import annotations

import functools
import hashlib
import re
import zipfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

import book_drawings
from book_kit import numbered, parts, register, text
from docutils import nodes

from deeplimits.explorer import wording

OUT = "figures"                                # folder in the site
EXTRAS = "Front page and stories"


@dataclass(frozen=True)
class Figure:
    """A figure as a file: its page, its place on it, its words and its drawing."""

    page: str
    number: int
    alive: bool                                # the first frame of an explorer
    caption: str
    alt: str
    svg: str

    @property
    def name(self) -> str:
        return f"{group(self.page)}/{self.page.rsplit('/', 1)[1]}-{self.number}"

    @property
    def size(self) -> tuple[int, int]:
        _, _, width, height = map(float, re.search(r'viewBox="([^"]*)"', self.svg)[1].split())
        return round(width), round(height)


def group(page: str) -> str:
    """The part of a page, or *more*."""
    return next((part.key for part in parts() if page in part.pages), "more")


def words(pattern: str, body: str) -> str:
    """The words of the first match."""
    found = re.search(pattern, body, re.S)
    return book_drawings.plain(found[1]) if found else ""


@functools.lru_cache(maxsize=1)
def figures(env) -> tuple[Figure, ...]:
    """All figures of the build, in the order of the pages' names within the book."""
    out = []
    for page in [p for part in parts() for p in part.pages] + sorted(p for p in env.all_docs if group(p) == "more"):
        if page not in env.all_docs:
            continue
        bodies = [n.astext() for n in env.get_doctree(page).findall(nodes.raw) if re.search(r'<figure class="dl-(figure|explorer)"', n.astext())]
        for k, body in enumerate(bodies, start=1):
            svg = book_drawings.drawing(body)
            out.append(Figure(page, k, "data-explorer=" in body, words(r"<figcaption>(.*?)</figcaption>", body),
                              words(r'aria-label="([^"]*)"', svg), svg.replace("currentColor", book_drawings.GREY)))
    return tuple(out)


def picture(figure: Figure, up: str) -> nodes.raw:
    """A small view of the drawing, loaded when the reader comes near; its size keeps the room."""
    width, height = figure.size
    return nodes.raw("", f'<img src="{up}/{figure.name}.svg" alt="{escape(figure.alt)}" width="{width}" height="{height}" loading="lazy">', format="html")


def written(caption: str) -> list[nodes.Node]:
    """A caption with the indices of its letters below the line."""
    pieces = wording.INDEXED.split(caption)
    return [(nodes.subscript if k % 3 == 2 else nodes.inline)("", piece) for k, piece in enumerate(pieces) if piece]


def write(app, exception):
    """The files; a drawing that did not change is not drawn again."""
    if exception is not None or app.builder.format != "html":
        return
    kept, out = Path(app.outdir).parent / "figures", Path(app.outdir) / OUT
    kept.mkdir(exist_ok=True)
    drawn_by = Path(book_drawings.__file__).read_bytes()
    sets: dict[str, dict[str, bytes]] = {}
    used = set()
    for figure in figures(app.env):
        store = kept / (hashlib.sha256(figure.svg.encode() + drawn_by).hexdigest()[:24] + ".png")
        if not store.is_file():
            store.write_bytes(book_drawings.png(figure.svg))
        used.add(store)
        files = sets.setdefault(group(figure.page), {})
        files[f"{figure.name}.svg"], files[f"{figure.name}.png"] = (figure.svg + "\n").encode(), store.read_bytes()
    for old in {*kept.iterdir(), *(p for p in out.rglob("*") if p.is_file())} - used - {out / n for files in sets.values() for n in files}:
        old.unlink()
    for key, files in sets.items():
        for name, data in files.items():
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        with zipfile.ZipFile(out / f"{key}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


def listing(app, here: str, given) -> list[nodes.Node]:
    """Part by part: the archive, then chapter by chapter each figure, small, its caption and its two files."""
    up = "../" * here.count("/") + OUT

    def file(name: str, words: str) -> nodes.reference:
        return nodes.reference("", "", nodes.Text(words), refuri=f"{up}/{name}")

    out: list[nodes.Node] = []
    captions = {part.key: part.caption for part in parts()} | {"more": EXTRAS}
    for key, caption in captions.items():
        mine = [f for f in figures(app.env) if group(f.page) == key]
        if not mine:
            continue
        out.append(text(nodes.strong("", caption), ": ", file(f"{key}.zip", f"all {len(mine)} figures as one archive"), classes=["ledger-chapter"]))
        for page in dict.fromkeys(f.page for f in mine):
            uri = app.builder.get_relative_uri(here, page)
            out.append(text(nodes.reference("", "", nodes.Text(numbered(app.env, page)), internal=True, refuri=uri)))
            listed = nodes.bullet_list(classes=["thumbnails"])
            for f in (f for f in mine if f.page == page):
                what = f.caption or (f.alt[:97].rsplit(" ", 1)[0] + " …" if len(f.alt) > 100 else f.alt)
                listed += nodes.list_item("", picture(f, up), text(*written(what), " (first frame) — " if f.alive else " — ",
                                                                   file(f"{f.name}.svg", "SVG"), ", ", file(f"{f.name}.png", "PNG")))
            out.append(listed)
    return out


def setup(app):
    register(app, "figures", listing)
    app.connect("build-finished", write, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

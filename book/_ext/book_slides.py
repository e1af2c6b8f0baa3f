"""Slides for each part, ``slides/part1.html`` and so on, made from the finished pages: no second execution, nothing typed twice.

A chapter gives its goals, its first picture, all figures and statements in the order of the page, and its exercises.  A set
of slides is one plain page that scrolls from slide to slide: it prints, it works without a script and on a phone, and
``slides.js`` adds the keys.  A slide deck library would scale a fixed canvas, which on a phone nobody can read.
"""
from __future__ import annotations

import re
from html import escape
from pathlib import Path
from posixpath import dirname, join, normpath

import book_figures
from book_goals import BOX
from book_kit import parts, register, text
from bs4 import BeautifulSoup
from docutils import nodes

from deeplimits.explorer import wording

OUT = "slides"
FIGURE = re.compile(r'<figure class="dl-(?:figure|explorer)".*?</figure>', re.S)
CODE = re.compile(r'<div class="highlight"><pre>.*?</pre></div>|<script\b.*?</script>|<style\b.*?</style>', re.S)
FOLDED = re.compile(r"^(?:dropdown|solution)$")
HEAVY = ((520, ""), (850, " long"), (float("inf"), " longer"))         # characters of a slide, and its class
DECK = """<!DOCTYPE html>
<html lang="en" data-content_root="../">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} — slides — {book}</title>
<meta name="description" content="Slides of {title}: figures and statements of the chapters, each with a link to its place in the book.">
<link rel="icon" href="../_static/favicon.svg">
<link rel="stylesheet" href="../_static/slides.css">
<script src="../_static/slides.js"></script>
{mathjax}
</head>
<body>
<main tabindex="-1">
{slides}
</main>
<nav aria-label="Slides">
<a href="../book/teaching/slides.html">All slides</a>
<span class="keys" hidden><button type="button" data-go="-1" aria-label="Previous slide">←</button>
<output aria-live="off"></output>
<button type="button" data-go="1" aria-label="Next slide">→</button></span>
<button type="button" data-scheme hidden>Light or dark</button>
</nav>
</body>
</html>
"""


def slide(kind: str, name: str, heading: str, body: str, link: str = "", level: int = 3) -> str:
    """One slide; ``link`` leads to the place in the book."""
    source = f'<p class="source"><a href="{link}">In the book<span class="hidden">: {re.sub(r"<[^>]+>", "", heading)}, {name}</span></a></p>' if link else ""
    return f'<div class="slide {kind}" id="{name}">\n<h{level}>{heading}</h{level}>\n<div class="body">{body}</div>{source}\n</div>'


def weight(characters: int) -> str:
    """The class of a slide that holds so much text."""
    return next(name for limit, name in HEAVY if characters < limit)


class Chapter:
    """A finished page, cut into slides."""

    def __init__(self, page: str, source: str, figures: list) -> None:
        self.page, self.figures, self.key = page, figures, page.rsplit("/", 1)[1]
        numbers = iter(range(len(figures)))
        source = FIGURE.sub(lambda m: f'<div data-figure="{next(numbers)}"></div>', source)
        self.soup = BeautifulSoup(CODE.sub("", source[source.index("<article"): source.index("</article>")]), "html.parser")
        for extra in self.soup.select(".headerlink, .cite-page"):
            extra.decompose()

    def address(self, target: str) -> str:
        """A link of the page, as seen from the slides."""
        if re.match(r"[a-z]+:|//", target):
            return target
        return "../" + (f"{self.page}.html{target}" if target.startswith("#") else normpath(join(dirname(self.page), target)))

    def inner(self, node) -> str:
        """The HTML within a node, its links led back to the book, without ids and figures."""
        for link in node.select("a[href]"):
            link["href"] = self.address(link["href"])
        for part in node.find_all(True):
            for gone in ("id", "tabindex", "data-figure"):
                part.attrs.pop(gone, None)
        return node.decode_contents().strip()

    def opening(self) -> str:
        """The chapter's title and its goals."""
        title = self.soup.h1
        box = next((a for a in self.soup.select("div.admonition") if a.p and a.p.get_text() == BOX), None)
        body, long = "", 0
        if box is not None:
            box.p.decompose()
            body, long = self.inner(box), len(box.get_text())
        return slide("chapter" + weight(long), self.key, self.inner(title), body, self.address("#"), level=2)

    def figure(self, node, heading: str, anchor: str) -> str:
        found = self.figures[int(node["data-figure"])]
        width, height = found.size
        caption = f"<figcaption>{wording.html(found.caption)}</figcaption>" if found.caption else ""
        live = f' <a href="{self.address(anchor)}">Move it in the book<span class="hidden">: {wording.html(found.caption)}</span></a>' if found.alive else ""
        picture = f'<img src="../figures/{found.name}.svg" alt="{escape(found.alt)}" width="{width}" height="{height}" loading="lazy">'
        return slide("picture", f"{self.key}-{found.number}", heading, f"<figure>{picture}{caption}</figure>{live}", self.address(anchor))

    def statement(self, node, heading: str) -> str:
        label = node["id"]
        head, body = self.inner(node.p), self.inner(node.section)
        box = f'<div class="box"><p class="head">{head}</p>{body}</div>'
        return slide("statement" + weight(len(node.get_text())), label, heading, box, self.address(f"#{label}"))

    def exercises(self) -> str:
        found = [(e["id"], self.inner(e.p)) for e in self.soup.select("div.exercise[id]")]
        items = "".join(f'<li><a href="{self.address("#" + label)}">{title}</a></li>' for label, title in found)
        return slide("exercises", f"{self.key}-exercises", "Exercises", f"<ul>{items}</ul>") if found else ""

    def slides(self) -> list[str]:
        """All slides in the order of the page."""
        out, heading, anchor = [], "", "#"
        for node in self.soup.find_all(["h2", "div"]):
            if node.name == "h2":
                heading, anchor = self.inner(node), "#" + (node.find_parent("section") or node).get("id", "")
            elif node.find_parent("details") or node.find_parent("div", class_=FOLDED):
                continue
            elif node.has_attr("data-figure"):
                out.append(self.figure(node, heading, anchor))
            elif node.get("class", [])[:1] == ["proof"] and node.get("id") and node.p and node.p.select_one(".caption-number"):
                out.append(self.statement(node, heading))
        first = next((k for k, made in enumerate(out) if made.startswith('<div class="slide picture"')), 0)
        return [self.opening(), *out[first: first + 1], *out[:first], *out[first + 1:], self.exercises()]      # a picture first


def mathjax(source: str) -> str:
    """The page's own way to load MathJax, from here."""
    config = re.search(r"<script>window\.MathJax = .*?</script>", source)
    script = re.search(r'<script[^>]*src="[^"]*?(_static/vendor/mathjax/[^"]*)"[^>]*></script>', source)
    return f'{config[0]}\n<script defer src="../{script[1]}"></script>' if config and script else ""


def deck(app, part) -> str:
    """The slides of a part as a page."""
    out, loader, contents = [], "", []
    for page in part.pages:
        source = (Path(app.outdir) / f"{page}.html").read_text(encoding="utf8")
        loader = loader or mathjax(source)
        chapter = Chapter(page, source, [f for f in book_figures.figures(app.env) if f.page == page])
        out += chapter.slides()
        contents.append(f'<li><a href="#{chapter.key}">{chapter.inner(chapter.soup.h1)}</a></li>')
    title = slide("title", "start", escape(part.caption), f'<p>{escape(app.config.project)}</p>'
                  f"<ul>{''.join(contents)}</ul>", "../index.html", level=1)
    return DECK.format(title=escape(part.caption), book=escape(app.config.project), mathjax=loader, slides="\n".join(filter(None, [title, *out])))


def write(app, exception):
    """After the pages are finished, and only where one of them is newer."""
    if exception is not None or app.builder.format != "html":
        return
    ours = [p for p in Path(__file__).parent.glob("*.py")]
    for part in parts():
        if not all(page in app.env.all_docs for page in part.pages):
            continue                                                # make chapter builds a page alone
        target, pages = Path(app.outdir) / OUT / f"{part.key}.html", [Path(app.outdir) / f"{page}.html" for page in part.pages]
        if not target.is_file() or target.stat().st_mtime < max(p.stat().st_mtime for p in [*pages, *ours]):
            target.parent.mkdir(exist_ok=True)
            target.write_text(deck(app, part), encoding="utf8")


def listing(app, here: str, given) -> list[nodes.Node]:
    up = "../" * here.count("/") + OUT
    items = [nodes.list_item("", text(nodes.reference("", "", nodes.Text(part.caption), refuri=f"{up}/{part.key}.html"))) for part in parts()]
    return [nodes.bullet_list("", *items)]


def setup(app):
    register(app, "slides", listing)
    app.connect("build-finished", write, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

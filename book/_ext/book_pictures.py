"""No picture without words: an image that lacks an alt text stops the build.

Sphinx would fill in the file's name, which says nothing.  The text comes from the directive (``:alt:``), from the cell
(``mystnb: {image: {alt: ...}}``), or from the output's own metadata, where the package's plots may put it.
"""
from __future__ import annotations

import re

from docutils import nodes
from sphinx.errors import ExtensionError

IMG = re.compile(r"<img\b[^>]*>", re.I)
ALT = re.compile(r"\balt\s*=", re.I)


def silent(doctree):
    """Descriptions of the images that say nothing."""
    for node in doctree.findall(nodes.image):
        if not (node.get("alt") or "").strip():
            yield f"line {node.line}: {node['uri']}" if node.line else node["uri"]
    for node in doctree.findall(nodes.raw):
        yield from (tag[:80] for tag in IMG.findall(node.astext()) if not ALT.search(tag))


def check(app, doctree, docname):
    missing = list(silent(doctree)) if app.builder.format == "html" else []
    if missing:
        raise ExtensionError(f"{docname}: no alt text for " + "; ".join(missing)
                             + ". Say what is seen: ':alt:', or 'mystnb: {image: {alt: ...}}' on the cell")


def setup(app):
    app.connect("doctree-resolved", check, priority=50)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

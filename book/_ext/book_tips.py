"""The symbols of the notation page, for the tips over formulas.

The second table of ``book/notation.md`` says what each letter means and what it is called in code; here it becomes
``_static/symbols.json``, which ``tips.js`` asks for when a reader points at a formula.
"""
from __future__ import annotations

import json
import re
from pathlib import Path

from docutils import nodes

PAGE = "book/notation"
FIRST = "symbol"                                     # heading of the first column of the tables of symbols


def pattern(symbol: str) -> str:
    """What finds a symbol in the TeX of a formula: the letter itself, not inside a longer name."""
    start = r"(?<![A-Za-z\\])" if symbol[0].isalpha() else ""
    end = r"(?![A-Za-z])" if symbol[-1].isalpha() else ""
    bare = symbol.replace(r"\varphi", "\0").replace("{", "").replace("}", "")
    body = re.escape(bare).replace("\0", r"\\varphi").replace("_", "_\\{?")
    return start + body + end + (r"(?!_)" if "_" not in symbol else "")


def rows(doctree):
    """Symbol, name in code, meaning as HTML: one entry for each symbol of each row."""
    for table in doctree.findall(nodes.table):
        head, *body = table.findall(nodes.row)
        if head.children[0].astext().strip() != FIRST:
            continue
        for row in body:
            symbols, code, meaning = row.children
            for node in symbols.findall(nodes.math):
                yield node.astext().strip(), code.astext().strip(), meaning


def html(entry) -> str:
    """The text of a cell, its formulas left to MathJax."""
    parts = []
    for node in entry.findall(lambda n: isinstance(n, (nodes.Text, nodes.math))):
        if isinstance(node, nodes.math):
            parts.append(rf'<span class="math notranslate nohighlight">\({node.astext()}\)</span>')
        elif not isinstance(node.parent, nodes.math):
            parts.append(node.astext().replace("&", "&amp;").replace("<", "&lt;"))
    return "".join(parts)


def write(app, exception):
    if exception is not None or app.builder.format != "html" or PAGE not in app.env.all_docs:
        return
    found = [{"symbol": s, "code": c, "meaning": html(m), "pattern": pattern(s)} for s, c, m in rows(app.env.get_doctree(PAGE))]
    target = Path(app.outdir) / "_static" / "symbols.json"
    target.write_text(json.dumps(found, ensure_ascii=False), encoding="utf8")


def setup(app):
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The booklet: all solved notebooks of a folder in one page of HTML, with everything it needs inside."""

from __future__ import annotations

import html
import importlib.util
import re
from pathlib import Path
from typing import Any

STYLE = """
:root { color-scheme: light; }
body { font: 17px/1.55 Georgia, "Times New Roman", serif; color: #222; background: #fff; max-width: 46em; margin: 2em auto; padding: 0 1em; }
h1, h2, h3, h4 { font-family: system-ui, sans-serif; line-height: 1.25; }
h1 { margin-top: 3em; border-top: 3px solid #444; padding-top: .6em; }
header h1 { margin-top: 0; border: 0; }
nav li { margin: .2em 0; }
a { color: #0b5394; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { border: 1px solid #999; padding: .25em .6em; text-align: left; vertical-align: top; }
pre, code { font: 13.5px/1.45 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding: .6em .8em; }
.prompt { display: none; }
.code_cell { margin: .8em 0; }
.code_cell .input_area { background: #f5f5f5; }
.output_area { margin: .3em 0 .8em 1.2em; overflow-x: auto; }
img, svg { max-width: 100%; height: auto; }
.solution { border-left: 4px solid #2e7d32; padding-left: .9em; }
.checked { border-left: 4px solid #999; padding-left: .9em; margin: .8em 0; }
.checked > summary { cursor: pointer; font: 14px system-ui, sans-serif; color: #555; }
@media print { body { font-size: 11pt; max-width: none; } h1 { break-before: page; } header h1 { break-before: auto; } }
"""
MATHJAX = """
window.MathJax = {tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], processEscapes: true},
                  options: {enableMenu: false, skipHtmlTags: ["script", "noscript", "style", "textarea", "pre", "code"]}};
"""


def _mathjax() -> str:
    """MathJax as one script, which draws formulas without fonts or other files."""
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    if not found or not found.origin:
        raise RuntimeError("the booklet needs the package sphinx-mathjax-offline")
    text = (Path(found.origin).parent / "static" / "mathjax" / "tex-svg.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")


def _body(notebook: Any) -> str:
    """The cells of a notebook as HTML, solutions and checks marked."""
    import nbformat
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)
    parts = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        one = nbformat.v4.new_notebook(cells=[cell], metadata=notebook.metadata)
        text = re.sub(r"<script\b.*?</script>", "", exporter.from_notebook_node(one)[0], flags=re.DOTALL)
        if "checked" in tags:
            text = f'<details class="checked"><summary>The checks</summary>\n{text}\n</details>'
        elif "solution" in tags:
            text = f'<div class="solution">\n{text}\n</div>'
        parts.append(text)
    return "\n".join(parts)


def write(folder: Path, title: str = "Deep Limits: the problem sets, solved") -> Path:
    """Write `booklet.html` beside the solved notebooks."""
    import nbformat
    from pygments.formatters import HtmlFormatter

    chapters, entries = [], []
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, 4)
        name = html.escape(notebook.metadata.get("title", path.stem), quote=False)
        entries.append(f'<li><a href="#{path.stem}">{name}</a></li>')
        body = re.sub(r'(<\w+ [^>]*\bid=")(?=[^"]+")', rf"\g<1>{path.stem}-", _body(notebook))
        chapters.append(f'<section id="{path.stem}">\n{body}\n</section>')
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{STYLE}{HtmlFormatter(style="default").get_style_defs(".highlight")}</style>
</head>
<body>
<header><h1>{html.escape(title)}</h1>
<nav aria-label="Problem sets"><ul>
{chr(10).join(entries)}
</ul></nav></header>
<main>
{chr(10).join(chapters)}
</main>
<script>{MATHJAX}</script>
<script>{_mathjax()}</script>
</body>
</html>
"""
    target = folder / "booklet.html"
    target.write_text(page, encoding="utf-8")
    return target

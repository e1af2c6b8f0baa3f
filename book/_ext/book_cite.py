"""*Cite this page*: a folded box at the end of every page of the book, with the text and the BibTeX entry."""
from __future__ import annotations

import html
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOX = """
<details class="cite-page"><summary>Cite this page</summary>
<p>{author}. <q>{title}</q>, in <em>{book}</em>, version {version}, {year}. <span class="cite-address">{url}</span></p>
<pre tabindex="0">@incollection{{deeplimits-{key},
  author = {{{{{author}}}}},
  title = {{{title}}},
  booktitle = {{{book}}},
  note = {{Version {version}}},
  year = {{{year}}},
  url = {{{url}}}
}}</pre>
<p>The papers that a chapter rests on are named in it: cite them too.</p></details>
"""


def released() -> tuple[str, str]:
    """The version, and the year of its release."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]["version"]
    year = re.search(r"^date-released: (\d{4})", (ROOT / "CITATION.cff").read_text(encoding="utf8"), re.M)
    return version, year[1] if year else ""


def add(app, pagename, templatename, context, doctree):
    if doctree is None or not pagename.startswith("book/"):
        return
    version, year = released()
    title = re.sub(r"<[^>]+>|^\d+[.] ", "", context.get("title", ""))
    filled = BOX.format(author=html.escape(app.config.author), title=title, book=html.escape(app.config.project or "Deep Limits"),
                        version=version, year=year, url=f"{app.config.book_site}{pagename}.html", key=pagename.rsplit("/", 1)[1])
    context["body"] = context.get("body", "") + filled


def setup(app):
    app.connect("html-page-context", add, priority=850)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""A self-contained, light site: everything a page loads lies beside it, and only what the page uses.

- MathJax comes from the package sphinx-mathjax-offline, and only to pages that hold a formula.
- The theme sends 800 kB of icons, as a script and as fonts; the fonts are cut down to the icons in use.
- The explorers' script goes to the pages that hold an explorer, their style once to each page; a story's, to the stories.
- The letters in the figures of a page stand in it once.
- The theme's live-code scripts (unused, and fetched from elsewhere) go.
- The index of the search goes to the search page alone, not to every page.
"""
from __future__ import annotations

import base64
import importlib.util
import io
import re
import shutil
from pathlib import Path

import pydata_sphinx_theme
from docutils import nodes
from fontTools import subset  # writing woff2 needs the package brotli
from PIL import Image
from sphinx.errors import ExtensionError

from deeplimits.explorer import script, wording

ROOT = Path(__file__).resolve().parents[2]
MATHJAX = ["tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions"]
FONTS = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static/vendor/fontawesome/webfonts"
WEBFONTS = ("fa-solid-900", "fa-regular-400", "fa-brands-400")
ICON_RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"[^"]*"\}')
ICON_CODE = re.compile(r"\\(f[0-9a-f]{3}|2b|21|23|24|25|2a)\b|([\ue000-\uf8ff])")
FORMULA = re.compile(r'class="[^"]*\bmath notranslate')
STYLE = re.compile(r"(?<=>)<style>\.dl-explorer.*?</style>", re.S)
MENDS = [(re.compile(pattern, re.S), new) for pattern, new in (
    (r' role="doc-biblioentry"', ' role="listitem"'),               # deprecated as a child of a list
    (r' role="doc-backlink"', ""),
    (r'(<summary) aria-label="Toggle hidden content"', r"\1"),      # the words in view are the name
    (r"(Solution to)(<a [^>]*>) ", r"\1 \2"),                       # the blank before the link, not in it
    (r"<th></th>", "<td></td>"),                                    # the empty corner of a data frame
    (r'(?<=<span class="pre">)[^<]*', lambda code: re.sub(r"(?<=\w)([._])(?=[A-Za-z])", r"\1<wbr>", code[0])),   # where a long name may break
    (r"(?<=<th>)[^<]+(?=</th>)", lambda head: wording.INDEXED.sub(r"\1<sub>\2</sub>", head[0])),   # σ_w
    (r'<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName = .*?</script>', ""))]


def configure(app, config):
    config.mathjax_path = "vendor/mathjax/tex-chtml.js"
    explorer = Path(app.outdir).parent / "assets" / "explorer.js"
    explorer.parent.mkdir(parents=True, exist_ok=True)
    explorer.write_text(script(), encoding="utf8")
    config.html_static_path.append(str(explorer))


def describe(file) -> str:
    """What a script or style is, be it a file or a text in the page."""
    attributes = getattr(file, "attributes", None) or {}
    return f"{getattr(file, 'filename', None) or file} {attributes.get('body') or ''}".lower()

GLYPH = re.compile(r'<path id="([^"]+)" d="([^"]+)" transform="scale\(0\.015625\)"\s*/>')


def share_glyphs(body: str) -> str:
    """Every figure brings the letters it writes; on a page each letter is needed once."""
    first: dict[str, str] = {}
    same: dict[str, str] = {}

    def keep(glyph: re.Match) -> str:
        same[glyph[1]] = first.setdefault(glyph[2], glyph[1])
        return glyph[0] if same[glyph[1]] == glyph[1] else ""

    body = re.sub(r"<defs>\s*</defs>", "", GLYPH.sub(keep, body))
    return re.sub(r'(?<=xlink:href="#)[^"]+', lambda m: same.get(m[0], m[0]), body)


PNG = re.compile(r'(?<=data:image/png;base64,)[^"]+')


def small_png(found: re.Match) -> str:
    """A picture of few colours as a palette: exact, and half as large."""
    with Image.open(io.BytesIO(base64.b64decode(found[0]))) as picture:
        if not picture.getcolors(256):
            return found[0]
        smaller = io.BytesIO()
        picture.quantize(256).save(smaller, "PNG", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode()


def page(app, pagename, templatename, context, doctree):
    body = context.get("body", "")
    for old, new in MENDS:
        body = old.sub(new, body)
    first = STYLE.search(body)
    if first:                                   # each explorer brings the style along; a page needs it once
        body = body[: first.end()] + STYLE.sub("", body[first.end():])
    context["body"] = body = share_glyphs(PNG.sub(small_png, body))
    unwanted = ["thebe"]
    sidebar = any(next(t.findall(nodes.math), None) for t in app.env.titles.values())
    if not sidebar and not FORMULA.search(body):
        unwanted.append("mathjax")
    for files in (context["script_files"], context["css_files"]):
        files[:] = [f for f in files if not any(word in describe(f) for word in unwanted)]
    if "data-explorer" in body:
        app.add_js_file("explorer.js", type="module")
    if 'class="story' in body:
        app.add_css_file("story.css")
        app.add_js_file("story.js", type="module")         # after the explorer's, as modules keep their order


SLIM = ["styles/pydata-sphinx-theme.css", "scripts/fontawesome.js", "icons.txt",
        *(f"vendor/fontawesome/webfonts/{n}{s}" for n in WEBFONTS for s in (".woff2", ".ttf"))]


def restore(app, builder):
    """What the last build made smaller comes whole from the theme again."""
    for name in SLIM:
        (Path(app.outdir) / "_static" / name).unlink(missing_ok=True)


def copy_mathjax(static: Path):
    source = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    for name in MATHJAX:
        target = static / "vendor" / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / name, target)


def slim_icons(out: Path):
    """Keep the theme's icon fonts, cut down to the icons that the pages and the theme's scripts name."""
    static = out / "_static"
    scripts = [static / "scripts" / n for n in ("pydata-sphinx-theme.js", "sphinx-book-theme.js")]
    used = {name for file in [*out.rglob("*.html"), *scripts]
            for name in re.findall(r"fa-[a-z0-9-]+", file.read_text(encoding="utf8"))}
    sheet = static / "styles" / "pydata-sphinx-theme.css"
    css = sheet.read_text(encoding="utf8")
    done = static / "icons.txt"
    if done.exists():                           # nothing was written, so nothing was restored
        return
    if len(ICON_RULE.findall(css)) < 500:
        raise ExtensionError("the theme writes its icon rules in another way: see ICON_RULE in book_assets.py")
    sheet.write_text(ICON_RULE.sub(lambda m: m[0] if used & set(re.findall(r"fa-[\w-]+", m[1])) else "", css),
                     encoding="utf8")
    codes = {int(a, 16) if a else ord(b) for file in static.rglob("*.css")
             for a, b in ICON_CODE.findall(file.read_text(encoding="utf8"))}
    for name in WEBFONTS:
        for flavor, suffix in (("woff2", ".woff2"), (None, ".ttf")):
            options = subset.Options(flavor=flavor, layout_features=[], notdef_outline=True)
            font = subset.load_font(str(FONTS / f"{name}.ttf"), options)
            cutter = subset.Subsetter(options)
            cutter.populate(unicodes=codes)
            cutter.subset(font)
            subset.save_font(font, str(static / "vendor/fontawesome/webfonts" / (name + suffix)), options)
    (static / "scripts" / "fontawesome.js").write_text("// the icons are drawn by the web fonts\n")
    done.write_text("\n".join(sorted(used)) + "\n")
    for source_map in static.rglob("*.map"):
        source_map.unlink()


def small_logos(out: Path):
    """The theme's logos of launch buttons are shown 20 pixels high and sent ten times as large."""
    for name in (out / "_static" / "images").glob("logo_*.png"):
        with Image.open(name) as picture:
            small = picture.convert("RGBA")
        small.thumbnail((64, 64))
        small.quantize(32).save(name, optimize=True)


SEARCH_SCRIPT = re.compile(r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js"></script>')


def only_search_searches(out: Path):
    """The theme's template puts the search index into every page; no page but one uses it."""
    for page in out.rglob("*.html"):
        text = page.read_text(encoding="utf8")
        if page.name != "search.html" and SEARCH_SCRIPT.search(text):
            page.write_text(SEARCH_SCRIPT.sub("", text), encoding="utf8")


def finish(app, exception):
    if exception is None and app.builder.format == "html":
        copy_mathjax(Path(app.outdir) / "_static")
        slim_icons(Path(app.outdir))
        small_logos(Path(app.outdir))
        only_search_searches(Path(app.outdir))


def setup(app):
    app.connect("config-inited", configure)
    app.connect("html-page-context", page, priority=900)        # after the theme added its own
    app.connect("write-started", restore)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

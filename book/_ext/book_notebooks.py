"""One notebook per chapter, for Colab and Jupyter, made while the pages are made.

The code cells are the source's own (read by jupytext, with their tags); the prose is what Sphinx resolved it to, so
that numbers, references, citations and glued values stand in it.  A kind of node without a rule stops the build.
The notebooks are published to a branch of the repository, to which the launch buttons point, with a list of them all
and the stored results that they draw.
"""
from __future__ import annotations

import html
import json
import re
import shutil
from bisect import bisect_right
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import book_address
import jupytext
import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.errors import ExtensionError

NOTHING = {"comment", "index", "toctree", "substitution_definition", "tabular_col_spec", "meta", "bibliography",
           "compound", "docinfo", "sd_tab_input", "system_message"}
SPECIAL = re.compile(r"([\\`*_\[\]$<>~])")
NO_TAG = re.compile(r"<(?=[A-Za-z/!?])")
BLOCK_START = re.compile(r"^(\d*)([#+.)-])(?=\s|#)")
SETUP = '''\
# @title Set-up: installs deeplimits where it is missing; an installed torch or numpy stays as it is.
use_gpu = True  # @param {{"type": "boolean"}}
import importlib.metadata, importlib.util, os, pathlib, subprocess, sys, tempfile, types, urllib.request
if importlib.util.find_spec("deeplimits") is None:
    source = os.environ.get("DEEPLIMITS_SOURCE", "git+{repository}")
    kept = [f"{{d.name}}=={{d.version}}" for d in importlib.metadata.distributions() if d.name in ("torch", "numpy")]
    limits = pathlib.Path(tempfile.mkdtemp(), "kept.txt")
    limits.write_text("\\n".join(kept))
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(limits), source]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip could not install deeplimits from {{source}}:\\n{{done.stdout}}{{done.stderr}}")
    importlib.invalidate_caches()
if importlib.util.find_spec("myst_nb") is None:      # in the book, glue puts a cell's number into the text
    sys.modules["myst_nb"] = types.ModuleType("myst_nb")
    sys.modules["myst_nb"].glue = lambda name, value, display=True: print(f"{{name}} = {{value}}") if display else None
import deeplimits, torch
where = f"{{os.cpu_count()}} CPU cores"
if use_gpu and torch.cuda.is_available():            # networks are drawn there too: other ones than on the page, of the same law
    deeplimits.set_default_device("cuda")
    where = torch.cuda.get_device_name()
print(f"deeplimits {{importlib.metadata.version('deeplimits')}}, torch {{torch.__version__}}, on {{where}}")'''
STORED = '''

# Long runs that this notebook draws beside its own are stored with the book. Colab fetches them.
missing = [file for file in (pathlib.Path("../results", name) for name in {names}) if not file.exists()]
for file in [*missing] if "google.colab" in sys.modules else []:
    try:
        stored_run = urllib.request.urlopen(f"{raw}/{{file.name}}", timeout=20).read()
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(stored_run)
        missing.remove(file)
    except OSError:                                  # no network, or no such branch
        pass
if missing:
    print("Stored runs that are not here:", *(file.name for file in missing), "(the cells below show the quick runs alone)")'''
HIDDEN = {"setup", "hide-input", "hide-cell", "remove-input", "remove-cell"}     # folded, as the page folds or omits them
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}                # to Colab; to JupyterLab
RESULTS = "book/results"


def first_cell(repository: str, names: list[str]) -> str:
    """The set-up cell of a page that draws these stored results."""
    raw = f"{book_address.raw(repository)}/{RESULTS}"
    return SETUP.format(repository=repository) + (STORED.format(names=json.dumps(names), raw=raw) if names else "")


def stored(code: str) -> list[str]:
    """The stored results that a page's code names."""
    files = sorted((book_address.ROOT / RESULTS).glob("*.nc")) if "results/" in code else []
    return [file.name for file in files if re.search(rf"\b{file.stem}\b", code)]


def plain_tex(tex: str) -> str:
    """On one line, and with nothing that a front end takes for a tag if it reads HTML before formulas."""
    return NO_TAG.sub("< ", " ".join(tex.split()))


def fence(text: str, least: int) -> str:
    """A run of backticks longer than any in the text."""
    return "`" * max([least, *(len(run) + 1 for run in re.findall("`+", text))])


class Writer:
    """Markdown of one resolved page.  ``i_`` rules are for inline nodes, ``b_`` rules for blocks."""

    def __init__(self, app, docname: str, doctree):
        self.app, self.env, self.docname = app, app.env, docname
        self.site = app.config.book_site
        self.page = urljoin(self.site, app.builder.get_target_uri(docname))
        self.step = ""                           # the setting of a story's picture that a title names
        self.nested = self.in_table = 0          # where display math must stand on one line; where | separates cells
        local = (self.url(ref) for ref in doctree.findall(nodes.reference))
        self.wanted = {url[1:] for url in local if url.startswith("#")}
        self.wanted |= {ref["refid"] for ref in doctree.findall(nodes.footnote_reference)}

    # ---- tools
    def rule(self, kind: str, node) -> str:
        for cls in type(node).__mro__:
            if method := getattr(self, f"{kind}_{cls.__name__}", None):
                return method(node)
            if cls.__name__ in NOTHING:
                return ""
        raise ExtensionError(f"{self.docname}: no {kind}-rule in book_notebooks.py for {type(node).__name__} "
                             f"(line {node.line}): {node.astext()[:60]!r}")

    def inline(self, node) -> str:
        return "".join(self.rule("i", child) for child in node.children)

    def blocks(self, node, skip: int = 0) -> str:
        return "\n\n".join(filter(None, (self.rule("b", child) for child in node.children[skip:])))

    def url(self, ref) -> str:
        if "refid" in ref:
            return "#" + ref["refid"]
        full = urljoin(self.page, ref.get("refuri", ""))
        base, fragment = urldefrag(full)
        return "#" + fragment if base == self.page and fragment else full

    def anchors(self, node) -> str:
        """Targets of links on this page; each once."""
        ids = [i for i in node.get("ids", []) if i in self.wanted]
        self.wanted.difference_update(ids)
        return "".join(f'<a id="{i}" name="{i}"></a>' for i in ids)

    def number(self, node, kind: str) -> str:
        table = self.env.toc_fignumbers.get(self.docname, {}).get(kind, {})
        return next((".".join(map(str, table[i])) for i in node["ids"] if i in table), "")

    def quoted(self, node, head: str = "", skip: int = 0) -> str:
        self.nested += 1
        text = "\n\n".join(filter(None, (head, self.blocks(node, skip))))
        self.nested -= 1
        return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))

    def as_html(self, node) -> str:
        """For places where Markdown is not read."""
        def part(child) -> str:
            if isinstance(child, nodes.Text):
                return html.escape(str(child), quote=False)
            if isinstance(child, nodes.raw):
                return ""
            if isinstance(child, nodes.math):
                return f"${html.escape(plain_tex(child.astext()), quote=False)}$"
            return self.as_html(child)                           # without links: a click on a title unfolds
        return "".join(part(child) for child in node.children)

    def folded(self, head: str, title: str, body: str) -> str:
        return f"{head}<details><summary>{title}</summary>\n\n{body}\n\n</details>"

    # ---- inline
    def i_Text(self, node):
        text = SPECIAL.sub(r"\\\1", node.astext()).replace("\n", " ")
        text = text.replace(r"\[", "&#91;").replace(r"\]", "&#93;")      # \[ opens a formula in some front ends
        return text.replace("|", "\\|") if self.in_table else text

    def i_inline(self, node):
        text = self.anchors(node) + self.inline(node)
        return f"**{text}**" if "sd-card-title" in node["classes"] else text

    i_target = i_title_reference = i_abbreviation = i_PassthroughTextElement = i_inline
    def i_paragraph(self, node): return self.inline(node)
    def i_emphasis(self, node): return f"*{self.inline(node)}*"
    def i_strong(self, node): return f"**{self.inline(node)}**"
    def i_subscript(self, node): return f"<sub>{self.inline(node)}</sub>"
    def i_superscript(self, node): return f"<sup>{self.inline(node)}</sup>"

    def i_raw(self, node):
        if "html" not in node["format"]:
            return ""
        step = re.fullmatch(r'<span data-step="([^"]*)">', node.astext())      # a story's picture follows the page only
        self.step = step[1] if step else self.step
        if self.step and node.astext() == "</span>":
            step, self.step = self.step, ""
            return f"** (set *{html.unescape(step)}*)"
        return "**" if step else node.astext()

    def i_literal(self, node):
        if {"std-numref", "std-ref"} & set(node["classes"]):     # the text of a reference without a number
            return self.inline(node)
        text, tick = node.astext(), fence(node.astext(), 1)
        pad = " " if len(tick) > 1 else ""
        return f"{tick}{pad}{text}{pad}{tick}"

    def i_math(self, node):
        tex = plain_tex(node.astext())
        if self.in_table:
            tex = tex.replace(r"\|", r"\Vert{}").replace("|", r"\vert{}")
        return f"${tex}$"

    def i_reference(self, node):
        return f"{self.anchors(node)}[{self.inline(node)}]({self.url(node)})"

    def i_footnote_reference(self, node):
        return f'{self.anchors(node)}<sup>[{node.astext()}](#{node["refid"]})</sup>'

    def i_image(self, node):
        alt = " ".join((node.get("alt") or "").split())
        if not alt:
            raise ExtensionError(f"{self.docname}: image {node['uri']} has no alt text")
        uri = node["uri"]
        if "://" not in uri:
            uri = urljoin(self.site, "_images/" + self.env.images[uri][1])
        width = f' width="{node["width"].removesuffix("px")}"' if node.get("width") else ""
        return f'<img src="{uri}" alt="{html.escape(alt)}"{width}>'

    # ---- blocks
    def b_paragraph(self, node): return self.anchors(node) + BLOCK_START.sub(r"\1\\\2", self.inline(node))
    def b_target(self, node): return self.anchors(node)
    def b_raw(self, node): return self.i_raw(node)
    def b_image(self, node): return self.i_image(node)
    def b_reference(self, node): return self.i_reference(node)
    def b_transition(self, node): return "---"
    def b_block_quote(self, node): return self.quoted(node)
    def b_container(self, node): return self.anchors(node) + self.blocks(node)
    def b_section(self, node): return self.blocks(node)          # only inside statements
    def b_title(self, node): return f"**{self.inline(node)}**" if node.children else ""
    def b_PassthroughTextElement(self, node): return self.i_inline(node)
    b_attribution = b_line = b_paragraph
    b_rubric = b_sd_tab_label = b_title
    b_glossary = b_line_block = b_container
    b_sidebar = b_topic = b_block_quote

    def b_dropdown_main(self, node):
        title = next(c for c in node.children[0].findall(nodes.inline) if "sd-summary-text" in c["classes"])
        return self.folded(self.anchors(node), self.as_html(title) or "More", self.blocks(node, 1))

    def b_literal_block(self, node):
        text, language = node.astext().rstrip("\n"), node.get("language", "")
        ticks = fence(text, 3)
        return f"{ticks}{'' if language in ('none', 'default') else language}\n{text}\n{ticks}"

    def b_math_block(self, node):
        parts = [p.strip() for p in re.split(r"\n\s*\n", node.astext()) if p.strip()]
        if not node.get("nowrap"):                               # as Sphinx does for the page
            parts = [rf"\begin{{split}}{p}\end{{split}}" if r"\\" in p and r"\begin" not in p else p for p in parts]
        parts = [re.sub(r"\\(begin|end)\{(align|gather)\*?\}", r"\\\1{\2ed}", p) for p in parts]
        tex = parts[0] if len(parts) == 1 else r"\begin{gathered}" + r"\\".join(parts) + r"\end{gathered}"
        number = self.number(node, "displaymath") if self.app.config.math_numfig else node.get("number")
        tex += rf" \tag{{{number}}}" if number else ""
        tex = NO_TAG.sub("< ", tex)
        body = "$$ " + " ".join(tex.split()) + " $$" if self.nested else f"$$\n{tex}\n$$"
        return "\n\n".join(filter(None, (self.anchors(node), body)))

    def b_bullet_list(self, node): return self.items(node, lambda k: "- ")
    def b_enumerated_list(self, node): return self.items(node, lambda k: f"{k + node.get('start', 1)}. ")

    def items(self, node, mark):
        out, self.nested = [], self.nested + 1
        for k, item in enumerate(node.children):
            out.append(mark(k) + self.blocks(item).replace("\n", "\n" + " " * len(mark(k))))
        self.nested -= 1
        return self.anchors(node) + re.sub(r"\n +(?=\n)", "\n", "\n".join(out))

    def b_definition_list(self, node):
        def text(item):
            terms = [c for c in item.children if isinstance(c, nodes.term)]
            heads = ", ".join(f"{self.anchors(t)}**{self.inline(t)}**" for t in terms)
            return f"{heads}: {self.blocks(item.children[-1])}"
        return "\n\n".join(text(item) for item in node.children)

    def b_field_list(self, node):
        return "\n\n".join(f"**{f.children[0].astext()}**: {self.blocks(f.children[1])}" for f in node.children)

    def b_table(self, node):
        self.in_table += 1
        rows = [["<br>".join(self.cell(part) for part in entry.children) for entry in row.children]
                for row in node.findall(nodes.row)]
        self.in_table -= 1
        lines = ["| " + " | ".join(r) + " |" for r in rows]
        lines.insert(1, "|" + " --- |" * len(rows[0]))
        head = self.anchors(node) + self.caption(node, "table", nodes.title)
        return "\n\n".join(filter(None, (head, "\n".join(lines))))

    def cell(self, part) -> str:
        if isinstance(part, nodes.bullet_list):
            return "<br>".join("• " + "<br>".join(self.cell(p) for p in item.children) for item in part.children)
        return self.inline(part) if isinstance(part, nodes.paragraph) else self.rule("i", part)

    def caption(self, node, kind: str = "figure", where=nodes.caption) -> str:
        text = next((self.inline(c) for c in node.findall(where)), "")
        number = self.number(node, kind)
        return (f"**{self.app.config.numfig_format[kind] % number}** " if number else "") + text

    def b_figure(self, node):
        image = " ".join(self.i_image(i) for i in node.findall(nodes.image))
        legend = "\n\n".join(self.blocks(c) for c in node.findall(nodes.legend))
        return "\n\n".join(filter(None, (self.anchors(node) + image, self.caption(node), legend)))

    def b_footnote(self, node):
        return f"{self.anchors(node)}<sup>{node.children[0].astext()}</sup> {self.blocks(node, 1)}"

    def b_Admonition(self, node):                                # notes, statements, exercises, solutions
        first = node.children[0] if isinstance(node.children[0], nodes.title) else None
        kind, skip = type(node).__name__, 0 if first is None else 1
        head = self.anchors(node) + (self.anchors(first) if skip else "")
        title = self.inline(first).strip() if skip else {"seealso": "See also"}.get(kind, kind.capitalize())
        if kind == "solution_node":
            return self.folded(head, self.as_html(first).strip(), self.blocks(node, 1))
        if "realtype" in node:                                   # sphinx-proof
            label = f"{node['realtype'].title()} {self.number(node, node['countertype'])}".strip()
        elif kind == "exercise_enumerable_node":
            label = self.app.config.numfig_format["exercise"] % self.number(node, "exercise")
        elif "dropdown" in node["classes"]:
            return self.folded(head, self.as_html(first) if skip else title, self.blocks(node, skip))
        else:
            return self.quoted(node, f"{head}**{title}**", skip)
        return self.quoted(node, f"{head}**{label}**{' ' + title if title else ''}.", skip)

    def b_proof_node(self, node):
        text = self.anchors(node) + self.blocks(node.children[0]).replace("Proof. ", "*Proof.* ", 1)
        return text + ("\n\n∎" if text.endswith(("$$", "```", ">")) else " ∎")

    # ---- the page
    def pieces(self, children, level: int = 1):
        """(place, text) in order; the place is a node, or the index of the code cell that the text follows."""
        for child in children:
            if isinstance(child, nodes.section):
                yield child.children[0], self.heading(child, level)
                yield from self.pieces(child.children[1:], level + 1)
            elif child.get("nb_element") == "cell_code":         # its outputs are for the reader's own kernel
                captions = (self.anchors(f) + self.caption(f) for f in child.findall(nodes.figure))
                yield child["cell_index"] + 0.5, "\n\n".join(captions)
            else:
                yield child, self.rule("b", child)

    def heading(self, section, level: int) -> str:
        anchor, numbers = self.anchors(section), self.env.toc_secnumbers.get(self.docname, {})
        number = numbers.get("" if level == 1 else "#" + section["ids"][0])
        title = (".".join(map(str, number)) + ". " if number else "") + self.inline(section.children[0])
        text = f"{anchor}\n\n{'#' * level} {title}".strip()
        return text if level > 1 else f"{text}\n\n{self.origin()}"

    def origin(self) -> str:
        address = self.app.config.book_repository
        ways = [f"[read this page online]({self.page})", f"[all notebooks]({book_address.notebooks(address)})"]
        if book_address.on_colab(address):
            ways.insert(1, f"[open this notebook in Colab]({book_address.colab(address, self.docname)})")
        return f"*From the book* Deep Limits: {', '.join(ways)}."


def arrange(writer: Writer, doctree, original, starts: list[int]) -> list:
    """Markdown and code cells in the order of the source, with cells that the page hides in their places."""
    prose: list[list[str]] = [[] for _ in range(2 * len(starts) + 1)]   # 2k+1: in cell k; even: between cells
    opening, at = "", 0.0
    for place, text in writer.pieces(doctree.children):
        if not isinstance(place, float):
            line = next((n.line for n in place.findall() if n.line), None)
            place = max(at, bisect_right(starts, line - 1) - 1) if line else at
        at = place
        if not opening:
            opening = text                                       # the title goes before the set-up cell
        elif text:
            prose[int(2 * place + 1)].append(text)
    code = "\n".join(c.source for c in original.cells if c.cell_type == "code")
    setup = first_cell(writer.app.config.book_repository, stored(code))
    cells = [nbformat.v4.new_markdown_cell(opening), nbformat.v4.new_code_cell(setup, metadata={"tags": ["setup"]})]
    for slot, texts in enumerate(prose):
        if slot % 2 and original.cells[slot // 2].cell_type == "code":
            cells.append(original.cells[slot // 2])
        if texts:
            cells.append(nbformat.v4.new_markdown_cell("\n\n".join(texts)))
    for k, cell in enumerate(cells):
        cell["id"] = f"cell-{k}"                                 # the same in every build
        tags = set(cell.metadata.get("tags", []))
        if tags & HIDDEN and "parameters" not in tags:
            cell.metadata.update(FOLDED)
    return cells


def folder(app) -> Path:
    return Path(app.outdir).parent / "notebooks"


def write(app, doctree, docname):
    starts = app.env.metadata[docname].get("source_map")
    if app.builder.format != "html" or not starts:
        return
    original = jupytext.reads(Path(app.env.doc2path(docname)).read_text(encoding="utf8"), fmt="md:myst")
    if len(original.cells) != len(starts):
        raise ExtensionError(f"{docname}: jupytext sees {len(original.cells)} cells, MyST-NB {len(starts)}")
    cells = arrange(Writer(app, docname, doctree), doctree, original, starts)
    kept = {key: original.metadata[key] for key in ("kernelspec", "language_info") if key in original.metadata}
    made = nbformat.v4.new_notebook(cells=cells, metadata={**kept, "colab": {"provenance": [], "toc_visible": True}})
    nbformat.validate(made)
    target = folder(app) / f"{docname}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf8")


def launch(app, pagename, templatename, context, doctree):
    """The theme would point Colab to the text source."""
    def visit(buttons):
        for button in buttons:
            visit(button.get("buttons", []))
            if "colab" in button.get("url", ""):
                button["url"] = book_address.colab(app.config.book_repository, pagename)
    visit(context.get("header_buttons", []))


def contents(app) -> str:
    """The front page of the branch: every notebook, in the order of the book."""
    address, site, made = app.config.book_repository, app.config.book_site, folder(app)
    lines = ["# The notebooks of *Deep Limits*", f"One for each page of [the book]({site}) that computes something, made from "
             f"[the sources]({address}) together with the book. The next build replaces this branch, so change the sources, not these."]
    trees = list(app.env.get_doctree(app.config.root_doc).findall(addnodes.toctree))
    for heading, pages in [(None, [app.config.root_doc]), *((t["caption"], t["includefiles"]) for t in trees)]:
        found = [page for page in pages if (made / f"{page}.ipynb").is_file()]
        lines += [f"## {heading}"] if heading and found else []
        lines += ["\n".join(entry(app, page) for page in found)] if found else []
    return "\n\n".join(lines) + "\n"


def entry(app, page: str) -> str:
    address = app.config.book_repository
    number = app.env.toc_secnumbers.get(page, {}).get("", ())
    title = "".join(f"{n}. " for n in number[:1]) + app.env.titles[page].astext()
    colab = f", [open in Colab]({book_address.colab(address, page)})" if book_address.on_colab(address) else ""
    return f"- [{title}]({page}.ipynb){colab}, [read online]({urljoin(app.config.book_site, app.builder.get_target_uri(page))})"


def publish(app, exception):
    """The theme's download button gives the same notebooks; those of pages that are gone go."""
    made = folder(app)
    if exception is None and app.builder.format == "html" and made.is_dir():
        for old in made.rglob("*.ipynb"):
            if old.relative_to(made).with_suffix("").as_posix() not in app.env.found_docs:
                old.unlink()
        shutil.copytree(made, Path(app.outdir) / "_sources", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.nc", "README.md"))
        (made / "README.md").write_text(contents(app), encoding="utf8")
        shutil.rmtree(made / RESULTS, ignore_errors=True)
        (made / RESULTS).mkdir(parents=True)
        for file in (book_address.ROOT / RESULTS).glob("*.nc"):
            shutil.copy2(file, made / RESULTS)


def setup(app):
    app.connect("doctree-resolved", write, priority=100)         # before sphinx-thebe adds its scripts
    app.connect("html-page-context", launch, priority=950)
    app.connect("build-finished", publish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

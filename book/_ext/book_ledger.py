"""The ledger: every labelled statement of the book, the tests that name it, and what they said.

A test names the statement it checks with ``@pytest.mark.statement("thm-...")``; the test run writes the outcomes to
the file ``ledger_results``.  The page is resolved last, when all statements are known, and written on every build.
"""
from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
UNKNOWN = "not checked in this build"
AGREED = "definition"                                                         # it claims nothing, so no test is owed
TELLING = ["failed", "error", "xpassed", "passed", "xfailed", "skipped"]      # a long test is skipped by default


class ledger(nodes.General, nodes.Element):
    """Stands where the ledger will be."""


class LedgerDirective(SphinxDirective):
    def run(self):
        return [ledger()]


def results(app) -> dict:
    path = ROOT / app.config.ledger_results
    return json.loads(path.read_text(encoding="utf8")) if path.is_file() else {}


def outcome(item: dict, tests: list[dict]) -> str:
    """One word for a statement: a failure outweighs a pass, a pass a skip."""
    said = {t["outcome"] for t in tests}
    return next((word for word in TELLING if word in said), AGREED if item["realtype"] == "definition" else UNKNOWN)


def statements(env) -> dict[str, list[dict]]:
    """Page -> its labelled statements, in the order of the book and of the page."""
    labelled: dict[str, list[dict]] = {}
    for item in getattr(env, "proof_list", {}).values():
        automatic = item["label"].rpartition("-")
        if not (automatic[0] == item["realtype"] and automatic[2].isdigit()):
            labelled.setdefault(item["docname"], []).append(item)
    return {page: in_page_order(env, page, labelled[page])
            for page in walk(env, env.config.root_doc) if page in labelled}


def walk(env, page, seen=None):
    seen = set() if seen is None else seen
    if page not in seen:
        seen.add(page)
        yield page
        for child in env.toctree_includes.get(page, []):
            yield from walk(env, child, seen)


def in_page_order(env, page, items):
    found = {i: n for n in env.get_doctree(page).findall(lambda n: "realtype" in getattr(n, "attributes", {}))
             for i in n["ids"]}
    position = {i: k for k, i in enumerate(found)}
    items = [{**item, "node": found.get(item["label"])} for item in items]
    return sorted(items, key=lambda item: position.get(item["label"], -1))


def name(env, item) -> list[nodes.Node]:
    """Such as *Theorem 3.1 (Kingman)*, with the formulas of its title."""
    number = env.toc_fignumbers.get(item["docname"], {}).get(item["countertype"], {}).get(item["label"], ())
    head = f"{item['realtype'].title()} {'.'.join(map(str, number))}".strip()
    title = next(item["node"].findall(nodes.title), None) if item["node"] is not None else None
    return [nodes.Text(head), *(words(title) if title is not None else [])]


def words(title) -> list[nodes.Node]:
    """A title's text and formulas, without its links."""
    return [n.deepcopy() if isinstance(n, nodes.math) else nodes.Text(n.astext()) for n in title.children]


def paragraph(*children, classes=()) -> nodes.paragraph:
    return nodes.paragraph("", "", *[nodes.Text(c) if isinstance(c, str) else c for c in children],
                           classes=list(classes))


def table(head: list[str], rows: list[list[list[nodes.Node]]], widths: list[int]) -> nodes.Node:
    group = nodes.tgroup(cols=len(widths))
    group += [nodes.colspec(colwidth=w) for w in widths]
    group += nodes.thead("", nodes.row("", *[nodes.entry("", paragraph(h)) for h in head]))
    group += nodes.tbody("", *[nodes.row("", *[nodes.entry("", *cell) for cell in row]) for row in rows])
    return nodes.table("", group, classes=["ledger"])


def link(app, here: str, page: str, anchor: str, *words) -> nodes.reference:
    uri = app.builder.get_relative_uri(here, page) + (f"#{anchor}" if anchor else "")
    return nodes.reference("", "", *words, internal=True, refuri=uri)


def code(test: str) -> nodes.raw:
    """A name of a test that may break after an underscore."""
    return nodes.raw("", f'<code class="docutils literal notranslate">{test.replace("_", "_<wbr>")}</code>', format="html")


def named(tests: list[dict], said: str) -> list[nodes.Node]:
    """The tests, file by file; an outcome only where it is not that of the statement."""
    files: dict[str, list[nodes.Node]] = {}
    for test in tests:
        file, _, function = test["test"].partition("::")
        words = [code(function), *([f" — {test['outcome']}"] if test["outcome"] != said else [])]
        files.setdefault(file, []).append(nodes.list_item("", paragraph(*words)))
    return [part for file, items in files.items() for part in (paragraph(code(file)), nodes.bullet_list("", *items))] or [paragraph("—")]


def row(app, here, item, tests) -> list[list[nodes.Node]]:
    said = outcome(item, tests)
    title = link(app, here, item["docname"], item["label"], *name(app.env, item))
    return [[paragraph(title)], named(tests, said), [paragraph(nodes.strong("", said), classes=["outcome", said.split()[0]])]]


def counted(number: int, word: str) -> str:
    """Such as *4 definitions*; what tests say has no plural."""
    return f"{number} {word}{'s' if word == AGREED and number != 1 else ''}"


def day(written: str | None) -> str:
    """Such as *3 May 2026, 21:40 UTC*."""
    if not written:
        return "undated"
    when = datetime.fromisoformat(written)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def summary(pages, report) -> nodes.paragraph:
    tests = report.get("statements", {})
    said = [outcome(item, tests.get(item["label"], [])) for items in pages.values() for item in items]
    text = f"The book holds {len(said)} labelled statements. "
    if not report:
        return paragraph(text + "The tests were not run before this build, so none is marked as checked.")
    counts = ", ".join(counted(said.count(word), word) for word in [*TELLING, AGREED, UNKNOWN] if word in said)
    versions = ", ".join(f"{k} {v}" for k, v in report.get("versions", {}).items())
    return paragraph(text + f"In the last test run ({day(report.get('date'))}; {versions}): {counts}.")


def build(app, here) -> list[nodes.Node]:
    report, pages = results(app), statements(app.env)
    tests = report.get("statements", {})
    out: list[nodes.Node] = [summary(pages, report)]
    for page, items in pages.items():
        title = nodes.title("", "", link(app, here, page, "", *words(app.env.titles[page])))
        rows = [row(app, here, item, tests.get(item["label"], [])) for item in items]
        listed = table(["Statement", "Tests that name it", "Outcome"], rows, [30, 55, 15])
        out.append(nodes.section("", title, listed, ids=[anchor(page)], classes=["ledger-chapter"]))
    known = {item["label"] for items in pages.values() for item in items}
    if stray := sorted(set(tests) - known):
        names = [nodes.list_item("", paragraph(nodes.literal("", label))) for label in stray]
        out[1:1] = [paragraph("Tests also name labels that no page of this build holds:"), nodes.bullet_list("", *names)]
    return out


def anchor(page: str) -> str:
    return nodes.make_id(page.rpartition("/")[2])


def contents(env, here: str):
    """The chapters in the contents at the side, which Sphinx gathered when there were none."""
    def entry(words, anchorname: str, *below) -> nodes.list_item:
        reference = nodes.reference("", "", *words, internal=True, refuri=here, anchorname=anchorname)
        return nodes.list_item("", addnodes.compact_paragraph("", "", reference), *below)

    pages = list(statements(env))
    chapters = nodes.bullet_list("", *[entry(words(env.titles[page]), "#" + anchor(page)) for page in pages])
    env.tocs[here] = nodes.bullet_list("", entry(words(env.titles[here]), "", *([chapters] if pages else [])))
    env.toc_num_entries[here] = 1 + len(pages)


def note(app, doctree):
    if next(doctree.findall(ledger), None) is not None:
        app.env.metadata[app.env.docname]["ledger"] = "1"


def rewrite(app, env):
    """The page depends on all others and on the test results."""
    pages = [page for page, data in env.metadata.items() if data.get("ledger")]
    for page in pages:
        contents(env, page)
    return pages


def resolve(app, doctree, docname):
    for place in list(doctree.findall(ledger)):
        place.replace_self(build(app, docname))


def setup(app):
    app.add_config_value("ledger_results", "_build/test-results.json", "html")
    app.add_node(ledger)
    app.add_directive("ledger", LedgerDirective)
    app.connect("doctree-read", note)
    app.connect("env-updated", rewrite)
    app.connect("doctree-resolved", resolve, priority=40)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

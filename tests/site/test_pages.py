"""Every page of the built site in a real browser, with the network closed."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from tests.site import browser as tools

pytestmark = pytest.mark.browser

PAGES = tools.pages() or ["index.html"]                # without a site each test says so
BUDGET = 500_000                                       # bytes, compressed, without MathJax's fonts
EXPLORED = 150_000                                     # characters of data in the explorers of a page
RAW = {
    "directive": r"^\s*(?:```+|:::+)\s*\{?[\w:-]*\}?",
    "role": r"\{(?:prf:ref|eq|ref|numref|doc|term|cite(?::\w+)?|glue(?::\w+)?|ref)\}",
    "target": r"^\([\w-]+\)=\s*$",
    "substitution": r"\{\{.*?\}\}",
    "TeX": r"\\(?:begin|end|frac|sum|log|lambda|sigma|varepsilon|mathbb|operatorname|label|to|le|ge|in)\b",
    "inline display": r"\$\s*\$|^\$$",
}
TEXT = """() => {
  const copy = document.querySelector("article, main, body").cloneNode(true);
  copy.querySelectorAll("pre, code, script, style, mjx-container, math, .highlight, figure[data-explorer]").forEach((n) => n.remove());
  document.body.append(copy);
  const text = copy.innerText;
  copy.remove();
  return text;
}"""
SILENT = """() => [...document.images].filter((i) => !(i.getAttribute("alt") ?? "").trim() && i.checkVisibility()
  && i.getAttribute("role") !== "presentation" && i.closest("[aria-hidden=true]") === null).map((i) => i.src)
  .concat([...document.querySelectorAll("svg[role=img]")].filter((s) => !s.getAttribute("aria-label") && !s.querySelector("title")
  && !s.getAttribute("aria-labelledby")).map((s) => s.outerHTML.slice(0, 120)))"""
NAMED_LIKE_A_FILE = """() => [...document.images].map((i) => i.alt).filter((a) => /[.](png|svg|jpe?g|gif)$/i.test(a))"""
# Inside a described picture and inside a formula no reader meets a part by itself, and of coloured words one of a kind is enough:
# together they are nine tenths of a page's nodes.
STRIP = """() => {
  document.querySelectorAll("svg[role=img], mjx-container").forEach((n) => n.replaceChildren(n.localName === "svg" ? "" : "x"));
  const seen = new Set();
  for (const word of document.querySelectorAll(".highlight pre span, dt.sig span:not(:has(a))"))
    seen.has(word.className) ? word.replaceWith(...word.childNodes) : seen.add(word.className);
}"""
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
EVERY_RULE = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Structure depends on the width, colours on the scheme: two looks with every rule and two for the colours alone see all of both.
LOOKS = [("light", 1280, EVERY_RULE), ("dark", 390, EVERY_RULE), ("dark", 1280, ["color-contrast"]), ("light", 390, ["color-contrast"])]
AXE = """async (rules) => (await axe.run(document, {runOnly: rules, resultTypes: ["violations"]}))
  .violations.map((v) => `${v.id} (${v.impact}): ` + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | "))"""
OVERFLOW = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""
WIDE = """() => [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .filter((e) => { for (let p = e; p; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return false; return true; })
  .slice(0, 3).map((e) => e.outerHTML.slice(0, 120))"""


def has_explorer(page: str) -> bool:
    path = tools.SITE / page
    return path.is_file() and "data-explorer=" in path.read_text(encoding="utf8")


@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole(name: str, visit: Any) -> None:
    """No error, no failed request, nothing off the machine, no raw source, no picture without words, not too heavy."""
    seen = visit()
    page = seen.open(name)
    assert seen.off_site == [], "asked another host"
    assert seen.failed == []
    assert seen.console == []
    assert page.locator("mjx-merror, .problematic, .system-message").count() == 0
    text = page.evaluate(TEXT)
    raw = {kind: re.findall(pattern, text, re.M)[:3] for kind, pattern in RAW.items()}
    assert not any(raw.values()), {kind: found for kind, found in raw.items() if found}
    assert page.evaluate(SILENT) == [], "no alt text"
    assert page.evaluate(NAMED_LIKE_A_FILE) == [], "a file's name is no alt text"
    weight = sum(size for url, size in seen.weights.items() if not re.search(r"mathjax/.*[.]woff", url))
    heaviest = sorted(seen.weights.items(), key=lambda item: -item[1])[:6]
    assert weight <= BUDGET, f"{weight / 1000:.0f} kB; the heaviest: {heaviest}"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible(name: str, visit: Any, axe: str) -> None:
    """axe-core finds nothing, and nothing sticks out, in both colour schemes on a desk and on a phone."""
    seen = visit(reduced_motion="reduce")
    page, faults = seen.open(name), []
    page.add_style_tag(content=STILL)

    def look(scheme: str, width: int) -> None:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_timeout(450)                      # the page waits for its final width, then looks at what scrolls
        assert page.evaluate("document.documentElement.dataset.theme") == scheme

    for scheme, width, _ in LOOKS:
        look(scheme, width)
        if page.evaluate(OVERFLOW) > 0:
            faults.append(f"{scheme} {width}: wider than the screen: {page.evaluate(WIDE)}")
    page.evaluate(STRIP)
    page.evaluate(axe)
    for scheme, width, rules in LOOKS:
        look(scheme, width)
        faults += [f"{scheme} {width}: {fault}" for fault in page.evaluate(AXE, rules)]
    assert not faults, "\n".join(faults)


def shown(figure: Any) -> tuple[str, str]:
    """What an explorer draws and what it says."""
    return (figure.evaluate("f => [...f.querySelectorAll('svg')].map(s => s.innerHTML).join()"),
            figure.evaluate("f => [...f.querySelectorAll('output')].map(o => o.textContent).join()"))


def move(page: Any, control: Any) -> bool:
    """Move a control by keyboard; False if no key changes it (a single choice)."""
    before = control.input_value()
    for key in ("ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp"):
        control.focus()
        page.keyboard.press(key)
        if control.input_value() != before:
            return True
    return False


OPENING = """f => [...f.querySelectorAll(":is([data-control], [data-turn]) :is(input, select)")].map((i) => i.matches("select") ? i.selectedIndex : i.value).join()"""


@pytest.mark.parametrize("name", [p for p in PAGES if has_explorer(p)] or [pytest.param("", marks=pytest.mark.skip(
    reason="no page holds an explorer"))])
def test_explorers_answer(name: str, visit: Any) -> None:
    """Every control of every explorer, moved by keyboard, changes the picture and the summary; one script serves all."""
    seen = visit(reduced_motion="reduce")
    page = seen.open(name)
    figures = page.locator("figure[data-explorer]")
    data = sum(figures.evaluate_all("all => all.map((f) => f.querySelector('script').textContent.length)"))
    assert data <= EXPLORED, f"the explorers carry {data / 1000:.0f} kB"
    for k in range(figures.count()):
        figure = figures.nth(k)
        which = figure.get_attribute("data-explorer")
        controls = figure.locator(":is([data-control], [data-turn]) :is(input, select)")
        turns = figure.locator("[data-turn] input").count()          # the last of the controls: they change what is seen, not what is said
        opening = figure.evaluate(OPENING)
        for j in range(controls.count()):
            # each control from the opening state, which the address brings back: elsewhere it may rightly change nothing
            page.evaluate("([id, state]) => { location.hash = `${id}=${state}`; }", [which, opening])
            page.evaluate(tools.SETTLED)
            assert figure.evaluate(OPENING) == opening, f"{which}: the address does not set the state"
            control = controls.nth(j)
            picture, summary = shown(figure)
            assert move(page, control), f"{which}: control {j} does not answer to the keyboard"
            page.evaluate(tools.SETTLED)
            after = shown(figure)
            assert after[0] != picture, f"{which}: control {j} does not change the picture"
            assert j >= controls.count() - turns or after[1] != summary, f"{which}: control {j} does not change the summary"
        carried = page.evaluate("decodeURIComponent(location.hash)")
        assert not controls.count() or f"{which}" in carried, f"{which}: the address does not carry the state"
        readers = figure.locator("[data-reader]")
        assert controls.count() + readers.count() > 0, f"{which} has no control"
        for j in range(readers.count()):
            picture = shown(figure)[0]
            assert move(page, readers.nth(j)), f"{which}: reader {j} does not answer to the keyboard"
            assert shown(figure)[0] != picture, f"{which}: reader {j} does not show what it reads"
            assert figure.locator("[data-reading]").inner_text().strip(), f"{which}: reader {j} reads nothing"
    assert [url for url in seen.weights if "explorer" in url and url.split("?")[0].endswith(".js")].__len__() == 1
    assert (seen.console, seen.failed, seen.off_site) == ([], [], [])


@pytest.mark.parametrize("name", [p for p in PAGES if has_explorer(p)] or [pytest.param("", marks=pytest.mark.skip(
    reason="no page holds an explorer"))])
def test_explorers_without_script(name: str, visit: Any) -> None:
    """Without JavaScript the first picture and its summary stand, and no dead control is shown."""
    seen = visit(java_script_enabled=False)
    seen.page.goto(seen.base + name)
    figures = seen.page.locator("figure[data-explorer]")
    for k in range(figures.count()):
        assert figures.nth(k).locator("svg").first.is_visible()
        assert figures.nth(k).locator("output").first.inner_text().strip()
        inputs = figures.nth(k).locator("input, select")
        assert not any(inputs.nth(j).is_visible() for j in range(inputs.count())), "a control that cannot answer is shown"


def test_search_finds(visit: Any) -> None:
    """The search works without a server behind it."""
    seen = visit()
    page = seen.open("search.html?q=statement")
    page.wait_for_selector("#search-results li", timeout=10_000)
    assert (seen.console, seen.failed, seen.off_site) == ([], [], [])


def test_icons_are_drawn(visit: Any) -> None:
    """The icon fonts are cut down to what the pages use; what they use must be there."""
    tools.need_site()
    page = visit().open(next(p for p in PAGES if p.startswith("book/")))
    empty = page.evaluate("""() => [...document.querySelectorAll('i[class*="fa-"], span.fa-solid')].filter((e) => e.checkVisibility())
      .filter((e) => ["none", "normal", '""'].includes(getComputedStyle(e, "::before").content)).map((e) => e.className)""")
    assert empty == []


def test_links_lead_somewhere() -> None:
    """Every link inside the site has a target."""
    tools.need_site()
    targets = {p: set(re.findall(r'\bid="([^"]+)"', (tools.SITE / p).read_text(encoding="utf8"))) for p in PAGES}
    dangling = []
    for name in PAGES:
        for link in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', (tools.SITE / name).read_text(encoding="utf8")):
            link = html.unescape(link)
            if re.match(r"[a-z]+:|//|javascript", link):
                continue
            path, _, anchor = link.partition("#")
            path = path.split("?")[0]
            target = (tools.SITE / name).parent.joinpath(path).resolve() if path else (tools.SITE / name).resolve()
            if not target.exists():
                dangling.append(f"{name}: {link}")
            elif anchor and target.suffix == ".html":
                page = target.relative_to(tools.SITE.resolve()).as_posix()
                if anchor not in targets.get(page, set()):
                    dangling.append(f"{name}: {link}")
    assert not dangling, dangling[:20]

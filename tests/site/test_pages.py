"""Every page of the built site in a real browser, with the network closed."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.site import browser as tools
from tests.site import drawn

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
  document.querySelectorAll("svg[role=img]:not(.dl-picture), mjx-container").forEach((n) => n.replaceChildren(n.localName === "svg" ? "" : "x"));
  [...document.querySelectorAll(":is(p, li, td) > span.math")].slice(20).forEach((n) => n.replaceWith("x"));
  document.querySelectorAll("code > span.pre").forEach((n) => n.replaceWith(...n.childNodes));
  const seen = new Set();
  for (const word of document.querySelectorAll(".highlight pre span, dt.sig span:not(:has(a))"))
    seen.has(word.className) ? word.replaceWith(...word.childNodes) : seen.add(word.className);
}"""
# In the reference, in slides and on a phone: of entries and rows alike a few.
THIN = """() => {
  const count = {};
  for (const entry of document.querySelectorAll("dl.py, tr, .toctree-l1, nav li, .slide")) {
    const kind = [entry.parentElement.className, entry.className, entry.localName].join();
    count[kind] = (count[kind] ?? 0) + 1;
    if (count[kind] > 8) entry.remove();
  }
}"""
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
EVERY_RULE = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OTHER = {"light": "dark", "dark": "light"}
SCHEME = {390: "dark", 1280: "light"}                  # in which the explorers are moved
AXE = """async (rules) => (await axe.run(document, {runOnly: rules, resultTypes: ["violations"]}))
  .violations.map((v) => `${v.id} (${v.impact}): ` + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | "))"""
OVERFLOW = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""
WIDE = """() => [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .filter((e) => { for (let p = e; p; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return false; return true; })
  .slice(0, 3).map((e) => e.outerHTML.slice(0, 120))"""
# What moved while the page arrived: how much in all, and the three worst with what moved first.
SHIFTS = """() => new Promise((done) => {
  const all = [];
  new PerformanceObserver((list) => all.push(...list.getEntries().filter((e) => !e.hadRecentInput)))
    .observe({type: "layout-shift", buffered: true});
  setTimeout(() => done([all.reduce((sum, e) => sum + e.value, 0), all.sort((a, b) => b.value - a.value).slice(0, 3)
    .map((e) => `${e.value.toFixed(3)} ${(e.sources[0]?.node?.outerHTML ?? e.sources[0]?.node?.textContent ?? "").slice(0, 120)}`)]), 50);
})"""
GROWN = """() => window.arrived.map(([e, height]) => [e, height, e.getBoundingClientRect().height]).filter(([, before, after]) => Math.abs(after - before) > 1)
  .map(([e, before, after]) => `${before.toFixed(0)} → ${after.toFixed(0)} px: ${e.outerHTML.slice(0, 120)}`)"""
# The page makes what scrolls reachable by keyboard, once it has its final width.
REACHABLE = """() => [...document.querySelectorAll(".pst-scrollable-table-container, div.math, pre, div.cell_output > .output")]
  .every((e) => (e.scrollWidth > e.clientWidth) === (e.tabIndex === 0))"""
# A change of width has come to rest.
STEADY = """async () => {
  const text = document.querySelector("article, main, body");
  const look = () => `${text.clientWidth} ${text.scrollHeight}`;
  for (let last = "", now; (now = look()) !== last; last = now) await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
THEME = "(scheme) => document.documentElement.dataset.theme === scheme"


def explorers_of(page: str) -> int:
    path = tools.SITE / page
    return len(re.findall(r"<figure\b[^>]*\bdata-explorer=", path.read_text(encoding="utf8"))) if path.is_file() else 0


@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, visit: Any, axe: str) -> None:
    """One visit, every check; nothing it does not like goes unsaid.

    Half of the pages open on a desk and become narrow, the others open on a phone and become wide: so a page is loaded and typeset once.
    """
    widths = sorted(SCHEME, reverse=PAGES.index(name) % 2 == 1)
    seen: tools.Visit = visit(width=widths[0], scheme=SCHEME[widths[0]])
    page = seen.open(name)
    found = [("layout", fault) for fault in settles(page)]
    page.add_style_tag(content=STILL)
    for width in widths:
        found += looked_at(page, seen, width, explorers_of(name) > 0)
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")        # where the button that leads there covers nothing
    page.evaluate(STRIP)
    page.evaluate(axe)
    if name.startswith(("book/api", "slides/")):
        page.evaluate(THIN)
    found += [("axe", fault) for fault in accessible(page, explorers_of(name) > 0)]
    faults = [f"{name}, {check}: {fault}" for check, fault in found] + [f"{name}: {trouble}" for trouble in seen.troubles]
    assert not faults, "\n".join(faults)


def turn(page: Any, width: int, scheme: str) -> None:
    """Another width, another scheme, under the reader's eyes."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_function(THEME, arg=scheme)
    page.evaluate(STEADY)


def looked_at(page: Any, seen: tools.Visit, width: int, moves: bool) -> Iterator[tuple[str, str]]:
    """What is wrong at a width: explorers are moved in one scheme and looked at in the other."""
    scheme = SCHEME[width]
    turn(page, width, scheme)
    yield from ((f"{scheme} {width}, explorers", fault) for fault in answers(page, seen))
    if width == 1280:
        yield from (("text", fault) for fault in whole(page, seen))
    yield from ((f"{width}, width", fault) for fault in fits(page))
    if moves:
        turn(page, width, OTHER[scheme])
        yield from ((f"{OTHER[scheme]} {width}, explorers", f"{which}: {fault}") for which, fault in drawn_values(page))


def accessible(page: Any, moves: bool) -> Iterator[str]:
    """What axe-core finds: by every rule light on a desk, by those of colour dark on a phone; where there are explorers by every rule on both."""
    turn(page, 1280, "light")
    settled(page)
    yield from (f"light 1280, {fault}" for fault in page.evaluate(AXE, EVERY_RULE))
    page.evaluate(THIN)
    turn(page, 390, "dark")
    settled(page)
    yield from (f"dark 390, {fault}" for fault in page.evaluate(AXE, EVERY_RULE if moves else ["color-contrast"]))


def settles(page: Any) -> Iterator[str]:
    """No picture moves anything: each keeps the height it came with. Formulas, which are set later, move lines a little: by less than
    0.25, above which the web's own guide calls a page poor (most pages stay below 0.05).
    """
    yield from (f"a picture changes its height, {grown}" for grown in page.evaluate(GROWN))
    total, worst = page.evaluate(SHIFTS)
    if total >= 0.25:
        yield f"shifts by {total:.3f}: {worst}"


def whole(page: Any, seen: tools.Visit) -> Iterator[str]:
    """No formula left raw or wrong, no raw source, no picture without words, not too heavy."""
    if page.locator("mjx-merror, .problematic, .system-message").count():
        yield "a formula or a reference that came to nothing"
    text = page.evaluate(TEXT)
    for kind, pattern in RAW.items():
        if raw := re.findall(pattern, text, re.M):
            yield f"raw {kind}: {raw[:3]}"
    yield from (f"no alt text: {silent}" for silent in page.evaluate(SILENT))
    yield from (f"a file's name is no alt text: {alt}" for alt in page.evaluate(NAMED_LIKE_A_FILE))
    later = r"mathjax/.*[.]woff|^figures/"   # the slides load a figure when the reader comes near it
    weights = {url: size for url, size in seen.weights.items() if not re.search(later, url)}
    if sum(weights.values()) > BUDGET:
        heaviest = sorted(weights.items(), key=lambda item: -item[1])[:6]
        yield f"weighs {sum(weights.values()) / 1000:.0f} kB; the heaviest: {heaviest}"


def fits(page: Any) -> Iterator[str]:
    """Nothing sticks out, and what scrolls is reachable by keyboard, a moment after the width has changed."""
    try:
        page.wait_for_function(f"() => ({OVERFLOW})() <= 0", timeout=5_000)
    except Exception:
        yield f"wider than the screen: {page.evaluate(WIDE)}"
    if late := settled(page):
        yield f"what scrolls is not made reachable by keyboard: {late}"


def settled(page: Any) -> str:
    """Waits until the page has looked at its new width; why it has not, if so."""
    try:
        page.wait_for_function(REACHABLE, timeout=5_000)
    except Exception as late:
        return str(late)
    return ""


def shown(figure: Any) -> tuple[str, str]:
    """What an explorer draws and what it says."""
    return (figure.evaluate("f => [...f.querySelectorAll('svg')].map(s => s.innerHTML).join()"),
            figure.evaluate("f => [...f.querySelectorAll('output')].map(o => o.textContent).join()"))


FIELDS = ":is([data-control], [data-turn]) :is(input, select)"
# A setting goes into the address; the key that moves the field has the focus then.
SET = """async ([figure, state, field]) => {
  const hash = `#${figure.dataset.explorer}=${state}`, heard = new Promise((done) => addEventListener("hashchange", done, {once: true}));
  if (location.hash !== hash) {
    location.hash = hash;
    await heard;
  }
  if (!field) return "";
  field.focus();
  return field.matches("select") ? (field.selectedIndex < field.length - 1 ? "ArrowDown" : "ArrowUp")
    : Number(field.value) < Number(field.max) ? "ArrowRight" : "ArrowLeft";
}"""
LOOK = "(f) => [[...f.querySelectorAll('svg')].map((s) => s.innerHTML).join(), f.querySelector('output').textContent]"


def drawn_values(page: Any) -> Iterator[tuple[str, str]]:
    """Each explorer, and what its picture has otherwise than its data."""
    figures = page.locator("figure[data-explorer]")
    for k in range(figures.count()):
        data = drawn.payload(figures.nth(k))
        for fault in drawn.faults(data, figures.nth(k).evaluate(drawn.READ)):
            yield data["id"], fault


def answers(page: Any, seen: tools.Visit) -> Iterator[str]:
    """Each control of each explorer, moved by keyboard, changes picture and summary; what is drawn is what the data say, before and after."""
    figures = page.query_selector_all("figure[data-explorer]")
    if not figures:
        return
    texts = [figure.query_selector("script").text_content() for figure in figures]
    if sum(map(len, texts)) > EXPLORED:
        yield f"they carry {sum(map(len, texts)) / 1000:.0f} kB"
    if len([url for url in seen.weights if "explorer" in url and url.split("?")[0].endswith(".js")]) != 1:
        yield "one script serves them all"
    for figure, text in zip(figures, texts, strict=True):
        data = json.loads(text)
        for fault in moved(page, figure, data):
            yield f"{data['id']}: {fault}"


def moved(page: Any, figure: Any, data: dict[str, Any]) -> Iterator[str]:
    """What is wrong with an explorer: at its opening, after each control's move from there, and under its readers."""
    fields, opening = figure.query_selector_all(FIELDS), ",".join(map(str, data["state"]))
    steered, readers = len(data["sizes"]), figure.query_selector_all("[data-reader]")
    first = figure.evaluate(drawn.READ)
    yield from (f"at first: {fault}" for fault in drawn.faults(data, first))
    for j, field in enumerate(fields):
        what = f"control {j} from {opening}"
        if j >= steered and not field.is_visible():                # a story on a phone is turned under the finger
            continue
        key = page.evaluate(SET, [figure, opening, field])         # from the opening state: elsewhere a control may rightly change nothing
        before, state = figure.evaluate(LOOK), figure.evaluate(drawn.READ)["state"]
        if state != data["state"]:
            yield f"{what}: the address does not set the state, it is {state}"
        page.keyboard.press(key)
        after, now = figure.evaluate(LOOK), figure.evaluate(drawn.READ)
        if now["state"] == state:
            yield f"{what}: does not answer to the keyboard ({key})"
            continue
        if after[0] == before[0]:
            yield f"{what}: does not change the picture"
        if after[1] == before[1] and j < steered:                   # to turn it changes what is seen, not what is said
            yield f"{what}: does not change the summary"
        if now["height"] != first["height"]:
            yield f"{what}: the figure grows from {first['height']} to {now['height']} px"
        carried = page.evaluate("decodeURIComponent(location.hash)")
        if f"{data['id']}={','.join(map(str, now['state']))}" not in carried:
            yield f"{what}: the address does not carry the state: {carried}"
        yield from (f"{what}: {fault}" for fault in drawn.faults(data, now))
    if fields:
        page.evaluate(SET, [figure, opening, None])
    if not any(field.is_visible() for field in fields + readers):
        yield "has no control"
    for j, reader in enumerate(readers):
        if not reader.is_visible():                                # and read on a wider screen
            continue
        reader.focus()
        before = figure.evaluate(LOOK)
        page.keyboard.press("ArrowRight")
        if figure.evaluate(LOOK)[0] == before[0]:
            yield f"reader {j} does not show what it reads"
        if not figure.query_selector("[data-reading]").inner_text().strip():
            yield f"reader {j} reads nothing"


@pytest.mark.parametrize("name", [p for p in PAGES if explorers_of(p)] or PAGES)
def test_explorers_without_script(name: str, visit: Any) -> None:
    """Without JavaScript the first picture and its summary stand, and no dead control is shown."""
    seen = visit(java_script_enabled=False)
    seen.page.goto(seen.base + name)
    figures = seen.page.locator("figure[data-explorer]")
    for k in range(figures.count()):
        assert figures.nth(k).locator("svg").first.is_visible()
        assert figures.nth(k).locator("output").first.inner_text().strip()
        assert figures.nth(k).locator("input, select").locator("visible=true").count() == 0, "a control that cannot answer is shown"
    assert figures.count() == explorers_of(name)


def test_every_chapter_has_an_explorer() -> None:
    tools.need_site()
    without = [p for p in PAGES if re.match(r"book/(part\d|stories)/", p) and not explorers_of(p)]
    assert not without, f"no explorer on {without}"


def test_search_finds(visit: Any) -> None:
    """The search works without a server behind it."""
    seen = visit()
    page = seen.open("search.html?q=statement")
    page.wait_for_selector("#search-results li", timeout=10_000)
    assert seen.troubles == []


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

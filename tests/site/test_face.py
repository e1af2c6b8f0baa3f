"""What surrounds the chapters: tips, the page of missing addresses, the social card, a citation, paper, a page without script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.site import browser as tools

pytestmark = pytest.mark.browser

CHAPTER = "book/part3/contracting-layers.html"
TIP = "() => { const tip = document.getElementById('tip'); return tip && !tip.hidden ? tip.innerText : ''; }"


def tip_over(page: Any, anchor: Any) -> str:
    anchor.scroll_into_view_if_needed()
    anchor.hover()
    page.wait_for_function(f"({TIP})() !== ''", timeout=20_000)
    return page.evaluate(TIP)


def test_links_say_what_they_lead_to(visit: Any) -> None:
    """A citation shows its entry, a reference to an equation the equation; Escape closes; the keyboard opens too."""
    seen = visit()
    page = seen.open(CHAPTER)
    citation = page.locator("article a.reference.internal[href*='bibliography.html#']").first
    assert citation.inner_text().strip("[]()") in tip_over(page, citation)
    page.keyboard.press("Escape")
    assert page.evaluate(TIP) == ""
    equation = page.locator("article a.reference.internal[href^='#equation']").locator("visible=true").first
    page.keyboard.press("Tab")                          # from here on the keyboard leads
    equation.focus()
    page.wait_for_function(f"({TIP})() !== ''")
    assert equation.get_attribute("aria-describedby") == "tip"
    assert page.locator("#tip mjx-container").count() == 1
    assert seen.troubles == []


def test_formulas_say_what_their_letters_mean(visit: Any) -> None:
    seen = visit()
    page = seen.open(CHAPTER)
    index = page.evaluate(r"""() => [...MathJax.startup.document.math].findIndex((m) => /\\sigma_w/.test(m.math) && m.typesetRoot.closest("article p"))""")
    assert index >= 0
    formula = page.evaluate_handle(f"() => [...MathJax.startup.document.math][{index}].typesetRoot").as_element()
    formula.scroll_into_view_if_needed()
    formula.hover()
    page.wait_for_function(f"({TIP})() !== ''", timeout=20_000)
    assert "weight_std" in page.evaluate(TIP)
    assert seen.troubles == []


def test_missing_page_is_whole(chromium: Any, tmp_path: Path) -> None:
    """The page for missing addresses is found at any depth, so it names its files from the root of the site."""
    tools.need_site()
    text = (tools.SITE / "404.html").read_text(encoding="utf8")
    prefix = re.search(r'href="/((?:[^"]*/)?)_static/', text)
    assert prefix, "the page names its files from the root"
    mounted = tmp_path.joinpath(*prefix[1].split("/"))
    mounted.parent.mkdir(parents=True, exist_ok=True)
    if mounted != tmp_path:
        mounted.symlink_to(tools.SITE.resolve(), target_is_directory=True)
    root = tools.SITE if mounted == tmp_path else tmp_path
    with tools.served(root) as base, tools.Visit(chromium, base) as seen:
        page = seen.open(f"{prefix[1]}404.html")
        assert "nothing at this address" in page.locator("article").inner_text()
        assert seen.troubles == []
        with page.expect_navigation():
            page.locator("article a").first.click()
        assert page.locator("article h1").first.is_visible()
        page = seen.open(f"{prefix[1]}404.html")
        with page.expect_navigation():
            page.locator(".bd-sidebar-primary a.reference.internal").first.click()
        assert page.locator("article h1").first.is_visible()
        assert seen.failed == []


def test_a_page_can_be_cited_and_shown_elsewhere() -> None:
    """Every page of the book names its address, its version and its picture."""
    tools.need_site()
    text = (tools.SITE / CHAPTER).read_text(encoding="utf8")
    address = re.search(r'<meta property="og:url" content="([^"]+)"', text)
    assert address and address[1].endswith(CHAPTER)
    assert f"url = {{{address[1]}}}" in text
    picture = re.search(r'<meta property="og:image" content="([^"]+)"', text)
    assert picture and (tools.SITE / picture[1].removeprefix(address[1].removesuffix(CHAPTER))).is_file()
    assert re.search(r'<meta property="og:image:alt" content="[^"]{20,}"', text)


def test_paper_holds_the_whole_chapter(visit: Any) -> None:
    """Printed, a chapter shows its solutions and proofs, and none of the furniture."""
    page = visit().open(CHAPTER)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    hidden = page.evaluate("""() => [...document.querySelectorAll("div.solution, div.proof")]
      .filter((e) => !e.checkVisibility() || e.getBoundingClientRect().height < 10).length""")
    assert hidden == 0
    assert not page.locator(".bd-sidebar-primary").is_visible()
    assert page.locator("figure[data-explorer] svg").first.is_visible()


BOXES = """() => {
  const boxes = document.querySelectorAll("main :is(details, .admonition, pre, table, figure, .math, .cell_output > .output)");
  const shown = [...boxes].filter((e) => e.checkVisibility());
  const clipped = (e) => getComputedStyle(e).overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1;
  const room = (e) => [...e.children].filter((c) => !c.matches("summary, .admonition-title")).some((c) => c.getBoundingClientRect().height > 10);
  return {
    empty: shown.filter((e) => e.matches("details, .admonition") && !room(e)).map((e) => e.innerText.slice(0, 60)),
    wide: shown.filter((e) => e.getBoundingClientRect().right > innerWidth + 1 || (!e.matches("span") && clipped(e)))
      .map((e) => `${e.className} ${e.innerText?.slice(0, 60)}`),
    folded: shown.filter((e) => e.matches(".cell details")).length,
    ink: getComputedStyle(document.querySelector("article p")).color.match(/\\d+/g).map(Number),
  };
}"""


def test_paper_is_white_full_and_no_wider_than_itself(visit: Any) -> None:
    """Printed out of the dark scheme: dark ink, no empty box, no folded code, nothing cut at the right; afterwards all is as before."""
    page = visit(width=718, height=1000, scheme="dark").open(CHAPTER)      # A4 within margins of a centimetre
    closed = page.locator("details:not([open])").count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    said = page.evaluate(BOXES)
    assert (said["empty"], said["wide"], said["folded"]) == ([], [], 0)
    assert sum(said["ink"][:3]) < 200, said["ink"]
    page.emulate_media(media="screen", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.locator("details:not([open])").count() == closed


def test_the_text_needs_no_script(visit: Any) -> None:
    seen = visit(java_script_enabled=False)
    seen.page.goto(seen.base + CHAPTER)
    assert seen.page.locator("article h1").is_visible()
    assert len(seen.page.locator("article").inner_text()) > 5000
    assert seen.page.locator("figure.dl-figure svg").first.is_visible()

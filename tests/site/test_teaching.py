"""The teacher's kit on the site: slides that a class can be shown, figures that can be downloaded, tables made from the pages."""

from __future__ import annotations

import re
import zipfile
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.site import browser as tools

pytestmark = pytest.mark.browser

DECKS = [f"{part.name}.html" for part in sorted((tools.ROOT / "book").glob("part*"))]
each_deck = pytest.mark.parametrize("name", DECKS)
two_decks = pytest.mark.parametrize("name", [DECKS[0], DECKS[3]])    # a short and the longest: one script serves all
STATEMENT = re.compile(r'<div class="proof (?:theorem|proposition|lemma|corollary|definition|example)[^"]*" id="([^"]+)"')
FIGURE = re.compile(r'<figure class="dl-(?:figure|explorer)"')
AT = "() => document.querySelector('nav output').textContent"
TOP = "(id) => Math.abs(document.getElementById(id).getBoundingClientRect().top) < 3"
LARGEST = 20_000_000                                   # bytes of all figures with their archives


def text(path: str) -> str:
    tools.need_site()
    return (tools.SITE / path).read_text(encoding="utf8")


def chapters(deck: str) -> list[str]:
    return sorted(p.relative_to(tools.SITE).as_posix() for p in (tools.SITE / "book" / deck.removesuffix(".html")).glob("*.html"))


# --- slides ----------------------------------------------------------------------------------------


def test_every_part_has_slides() -> None:
    tools.need_site()
    assert DECKS == sorted(p.name for p in (tools.SITE / "slides").glob("*.html"))
    assert all(f"../../slides/{name}" in text("book/teaching/slides.html") for name in DECKS)


@each_deck
def test_slides_hold_what_the_chapters_hold(name: str) -> None:
    """Every labelled statement and every figure of every chapter, with its words, in the order of the book."""
    deck = text(f"slides/{name}")
    ids = re.findall(r'<div class="slide [^"]*" id="([^"]+)"', deck)
    assert len(ids) == len(set(ids)), "an id stands twice"
    for page in chapters(name):
        source = text(page)
        labels = [label for label in STATEMENT.findall(source) if not re.fullmatch(r"[a-z]+-\d+", label)]
        assert [i for i in ids if i in labels] == labels, page
        key = page.rsplit("/", 1)[1].removesuffix(".html")
        shown = [i for i in ids if re.fullmatch(rf"{re.escape(key)}-\d+", i)]
        assert len(shown) == len(FIGURE.findall(source)), f"{page}: a figure is missing"
        first = ids[ids.index(key) + 1]
        assert first == f"{key}-1", f"{page}: a picture comes first, not {first}"
    assert not re.search(r'<img(?![^>]*\balt="[^"]{20,}")', deck), "a picture without words"


@two_decks
def test_keys_turn_the_slides(name: str, visit: Any) -> None:
    seen = visit(reduced_motion="reduce")
    page = seen.open(f"slides/{name}")
    count = page.locator(".slide").count()
    ids = page.locator(".slide").evaluate_all("all => all.map((s) => s.id)")
    assert page.evaluate(AT) == f"1 / {count}"
    at = 0
    for key, step in (("ArrowRight", 1), ("PageDown", 1), (" ", 1), ("ArrowDown", 1), ("ArrowLeft", -1), ("PageUp", -1),
                      ("End", count), ("ArrowRight", 1), ("Home", -count)):
        page.keyboard.press(key)
        at = max(0, min(count - 1, at + step))
        page.wait_for_function(AT + f" === '{at + 1} / {count}'")
        assert page.evaluate("location.hash") == f"#{ids[at]}"
        page.wait_for_function(TOP if at < count - 1 else "(id) => document.getElementById(id).getBoundingClientRect().bottom <= innerHeight + 3", arg=ids[at])
    page.locator("[data-go='1']").click()
    page.wait_for_function(AT + f" === '2 / {count}'")
    assert (seen.console, seen.failed, seen.off_site) == ([], [], [])


@each_deck
def test_slides_are_drawn(name: str, visit: Any) -> None:
    """Pictures and formulas are there; every slide fits on a small screen; a link opens at its slide."""
    seen = visit(reduced_motion="reduce")
    seen.page.set_viewport_size({"width": 1280, "height": 720})
    page = seen.open(f"slides/{name}")
    page.evaluate("() => document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; })")
    page.evaluate("() => Promise.all([...document.images].map((i) => i.decode()))")
    assert page.evaluate("[...document.images].every((i) => i.naturalWidth > 100)")
    assert page.locator("mjx-container").count() > 5 and page.locator("mjx-merror").count() == 0
    assert "\\(" not in page.locator("main").inner_text()
    heights = page.locator(".slide").evaluate_all("all => all.map((s) => [s.id, s.offsetHeight])")
    long = [name for name, height in heights if height > 722]
    assert not long, f"too long for a screen: {long}"
    middle = heights[len(heights) // 2][0]
    page = seen.open(f"slides/{name}#{middle}")
    page.wait_for_function(TOP, arg=middle)
    assert (seen.console, seen.failed, seen.off_site) == ([], [], [])


def test_slides_follow_the_scheme_and_the_choice(visit: Any) -> None:
    tools.need_site()
    seen = visit(reduced_motion="reduce")
    page = seen.open(f"slides/{DECKS[0]}")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{ground} !== {light!r}")
    page.locator("[data-scheme]").click()
    assert page.evaluate(ground) == light
    page.reload()
    assert page.evaluate(ground) == light, "the choice is kept"


@two_decks
def test_slides_on_a_phone_and_without_script(name: str, visit: Any) -> None:
    seen = visit(java_script_enabled=False)
    seen.page.set_viewport_size({"width": 390, "height": 844})
    seen.page.goto(seen.base + f"slides/{name}")
    assert seen.page.locator(".slide").nth(3).is_visible()
    assert not any(b.is_visible() for b in seen.page.locator("button").all()), "a button that cannot answer is shown"
    sizes = seen.page.locator(".slide h3").first.bounding_box()
    assert sizes and sizes["width"] <= 390


def test_slides_print_one_a_page(visit: Any) -> None:
    tools.need_site()
    seen = visit()
    page = seen.open(f"slides/{DECKS[-1]}")
    count = page.locator(".slide").count()
    pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))
    assert count <= pages <= 1.15 * count, f"{count} slides on {pages} pages"
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()


# --- figures ---------------------------------------------------------------------------------------


def test_figures_are_whole() -> None:
    """Each figure of each chapter: a drawing with words, a picture of good size on white, both linked and both in the archive."""
    tools.need_site()
    from PIL import Image

    home, listed = tools.SITE / "figures", text("book/teaching/figures.html")
    for deck in DECKS:
        part = deck.removesuffix(".html")
        with zipfile.ZipFile(home / f"{part}.zip") as archive:
            packed = {name: archive.read(name) for name in archive.namelist()}
        files = {p.relative_to(home).as_posix(): p.read_bytes() for p in (home / part).iterdir()}
        assert packed == files
        assert len(files) == 2 * sum(len(FIGURE.findall(text(page))) for page in chapters(deck))
        for name, data in files.items():
            assert f'href="../../figures/{name}"' in listed
            if name.endswith(".svg"):
                root = ElementTree.fromstring(data)
                assert len(root.get("aria-label", "")) > 20 and root.get("width") and b"currentColor" not in data, name
                used = set(re.findall(rb'(?:xlink:href="#|url\(#)([^")]+)', data))
                assert used <= set(re.findall(rb' id="([^"]+)"', data)), f"{name}: something it draws with is missing"
            else:
                with Image.open(home / name) as picture:
                    assert picture.width == 1200 and picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255), name
                    assert len(picture.convert("RGB").getcolors(1 << 20) or range(9)) > 3, f"{name} is empty"
    assert sum(p.stat().st_size for p in home.rglob("*") if p.is_file()) < LARGEST


# --- tables ----------------------------------------------------------------------------------------


def test_goals_are_those_of_the_chapters() -> None:
    tools.need_site()
    page = text("book/teaching/goals.html")
    for deck in DECKS:
        for chapter in chapters(deck):
            assert re.search(rf'href="\.\./{re.escape(chapter.removeprefix("book/"))}"', page), chapter
    assert len(re.findall(r"Reading (?:\d+\xa0h\xa0)?\d+\xa0min, running \d+\xa0(?:s|min) \(measured\)", page)) == sum(len(chapters(d)) for d in DECKS)


def test_questions_lead_to_goals_and_statements() -> None:
    """Links from questions to goals and back; that each has a target is tested for all links of the site."""
    tools.need_site()
    page, goals = text("book/teaching/questions.html"), text("book/teaching/goals.html")
    assert re.search(r'href="goals\.html#goal-part\d', page) and re.search(r'href="\.\./part\d/[a-z-]+\.html#(?:thm|prop|def)-', page)
    assert re.search(r'href="questions\.html#(?:open|graded)-part\d-q\d', goals)
    titles = {(q.set, q.name): q.title for q in _questions()}
    missing = [title for title in titles.values() if title.replace("'", "’") not in page.replace("'", "’").replace("&#39;", "’")]
    assert not missing, missing


def _questions() -> Any:
    import sys

    folder = str(tools.ROOT / "book" / "_ext")
    sys.path.insert(0, folder)
    try:
        import book_questions
    finally:
        sys.path.remove(folder)
    return book_questions.questions()

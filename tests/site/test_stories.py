"""Stories: the picture follows the step that the reader has reached."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.site import browser as tools
from tests.site.test_pages import shown

pytestmark = pytest.mark.browser

STORIES = sorted(f"book/stories/{p.stem}.html" for p in (tools.ROOT / "book" / "stories").glob("*.md"))
each_story = pytest.mark.parametrize("name", STORIES)
TO = """(k) => scrollBy({top: document.querySelectorAll(".story-step")[k].getBoundingClientRect().top - 0.7 * innerHeight, behavior: "instant"})"""
NOW = """(k) => document.querySelectorAll(".story button")[k].getAttribute("aria-current") === "step"
  && document.querySelectorAll(".story [aria-current]").length === 1"""
SET = """() => Object.fromEntries([...document.querySelectorAll("figure[data-explorer] [data-control]")].map((c) => {
  const field = c.querySelector("input, select"), name = c.dataset.control;
  return [name, field.matches("select") ? field.value : field.getAttribute("aria-valuetext")];
}))"""
BOXES = """() => [document.querySelector("figure[data-explorer]"), document.querySelector(".story-step.now button")].map((e) => {
  const {top, bottom} = e.getBoundingClientRect();
  return [top, bottom];
})"""


def wanted(page: Any, k: int) -> dict[str, str]:
    """The setting that a step names."""
    pairs = page.locator("[data-step]").nth(k).get_attribute("data-step").split(";")
    return dict(tuple(word.strip() for word in pair.split(":")) for pair in pairs)


@each_story
@pytest.mark.parametrize("width", [1280, 390])
def test_scrolling_tells_the_story(name: str, width: int, visit: Any) -> None:
    """Each step sets the picture and its summary, which stay in view and leave room for the text."""
    seen = visit(still=True, width=width, height=844)
    page = seen.open(name)
    figure, count = page.locator("figure[data-explorer]"), page.locator(".story-step").count()
    assert figure.count() == 1 and 5 <= count <= 8
    assert page.evaluate(SET).items() >= wanted(page, 0).items(), "the story opens with its first step"
    frames = []
    for k in range(count):
        page.evaluate(TO, k)
        page.wait_for_function(NOW, arg=k)
        assert page.evaluate(SET).items() >= wanted(page, k).items(), f"step {k}"
        frames.append(shown(figure))
        (top, bottom), (text, _) = page.evaluate(BOXES)
        assert 0 <= top and bottom <= text, f"step {k}: the picture is out of view or covers the text"
        assert bottom < 0.75 * 844, "the picture leaves no room"
    for before, after in pairwise(frames):
        assert before[0] != after[0] and before[1] != after[1], "a step that changes nothing"
    assert seen.troubles == []


@each_story
def test_steps_by_keyboard(name: str, visit: Any) -> None:
    """A step chosen with the keyboard sets the picture; what the reader moves by hand stays."""
    seen = visit(still=True)
    page = seen.open(name)
    figure, buttons = page.locator("figure[data-explorer]"), page.locator(".story button")
    for k in (2, 1):
        before = shown(figure)
        buttons.nth(k).focus()
        page.keyboard.press("Enter")
        page.wait_for_function(NOW, arg=k)
        page.evaluate(tools.SETTLED)
        after = shown(figure)
        assert after[0] != before[0] and after[1] != before[1]
        assert page.evaluate(SET).items() >= wanted(page, k).items()
    control = figure.locator("[data-control] input").first
    control.focus()
    page.keyboard.press("End" if control.input_value() == "0" else "Home")
    chosen = page.evaluate(SET)
    page.wait_for_timeout(200)
    assert page.evaluate(SET) == chosen


@each_story
def test_address_of_a_story(name: str, visit: Any) -> None:
    """A setting in the address is shown, and no step takes it away before the reader moves on."""
    page = (seen := visit(still=True)).open(name)
    page.locator(".story button").nth(2).click()
    page.wait_for_function(NOW, arg=2)
    address, there = page.evaluate("location.hash"), page.evaluate(SET)
    seen.page.goto("about:blank")
    page = seen.open(name + address)
    page.wait_for_timeout(200)
    assert page.evaluate(SET) == there


@each_story
def test_stories_without_script(name: str, visit: Any) -> None:
    """Without JavaScript a story is text and the first picture, with no dead button."""
    seen = visit(java_script_enabled=False)
    seen.page.goto(seen.base + name)
    steps = seen.page.locator(".story-step")
    assert steps.count() >= 5 and all(steps.nth(k).inner_text().strip() for k in range(steps.count()))
    assert seen.page.locator(".story button").count() == 0
    assert seen.page.locator("figure[data-explorer] svg").first.is_visible()

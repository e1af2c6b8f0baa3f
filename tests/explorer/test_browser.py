"""The script of the explorers, in a real browser: on a page, and as a live widget."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from deeplimits.explorer import Explorer, explore, script
from deeplimits.explorer.wording import number
from tests.explorer.results import cutoff_profiles
from tests.site import browser as tools

pytestmark = pytest.mark.browser

# The top edge of everything that stands below the explorers: it must not move when the script takes over.
HEIGHTS = "() => [...document.querySelectorAll('.dl-picture, .dl-summary')].map((e) => e.getBoundingClientRect().top)"


def cliff() -> Explorer:
    return explore(cutoff_profiles(), predicted="exact", start={"precision": 1e-10}, title="The cliff", id="cliff")


def along() -> Explorer:
    return explore(cutoff_profiles(21).sel(kind="quiet"), lines="precision", title="Along the precision", id="along")


def pages() -> dict[str, str]:
    return {"page": cliff().html + along().html, "live": '<div id="out"></div>'}


def drawn(page: Any, figure: str, curve: int) -> np.ndarray:
    """The points of a curve in the units of the data, computed from where they are on the screen."""
    return np.array(page.evaluate("""([id, k]) => {
      const figure = document.querySelector(`figure[data-explorer=${id}]`);
      const data = JSON.parse(figure.querySelector("script").textContent);
      const line = figure.querySelector(`[data-line="${k}"]`), place = line.getScreenCTM();
      const picture = figure.querySelector(".dl-picture"), frame = picture.getBoundingClientRect();
      const unit = frame.width / picture.viewBox.baseVal.width, plot = figure.querySelector("[data-plot]");
      const [left, top, width, height] = ["x", "y", "width", "height"].map((a) => unit * plot.getAttribute(a));
      return [...line.getAttribute("d").matchAll(/[ML](-?\\d+) (-?\\d+)/g)].map(([, x, y]) => {
        const p = new DOMPoint(Number(x), Number(y)).matrixTransform(place);
        const {low, high} = data.y;
        return [(p.x - frame.left - left) / width, low + (high - low) * (1 - (p.y - frame.top - top) / height)];
      });
    }""", [figure, curve]))


def agrees(page: Any, explorer: Explorer, state: tuple[int, ...]) -> None:
    """Picture, summary and description are those of the setting."""
    for k, curve in enumerate(explorer.frames.curves):
        points = drawn(page, explorer.id, k)
        np.testing.assert_allclose(points[:, 0] * explorer.frames.x[-1], explorer.frames.x, atol=0.2)
        np.testing.assert_allclose(points[:, 1], curve.at(state), atol=2e-4)
    said = explorer.summaries[explorer.states().index(state)]
    figure = page.locator(f"figure[data-explorer={explorer.id}]")
    assert figure.locator("output").inner_text() == said
    assert figure.locator(".dl-picture").get_attribute("aria-label").endswith(said)


def test_script_repeats_the_first_frame_and_moves_nothing(visit: tools.Visit) -> None:
    for width in (390, 1280):
        visit.page.set_viewport_size({"width": width, "height": 900})
        page = visit.open("page-still.html")
        lines = "() => [...document.querySelectorAll('[data-line],[data-band],[data-dots]')].map((e) => e.getAttribute('d'))"
        still, tops = page.evaluate(lines), page.evaluate(HEIGHTS)
        page = visit.open("page.html")
        assert page.evaluate(lines) == still and page.evaluate(HEIGHTS) == tops


def test_arrow_keys_move_picture_summary_and_address(visit: tools.Visit) -> None:
    page, explorer = visit.open("page.html"), cliff()
    agrees(page, explorer, (2, 1, 0))
    control = page.locator("figure[data-explorer=cliff] [data-control]")
    control.nth(0).locator("input").focus()
    page.keyboard.press("ArrowRight")
    agrees(page, explorer, (3, 1, 0))
    assert page.evaluate("location.hash") == "#cliff=3,1,0"
    assert control.nth(0).locator("input").get_attribute("aria-valuetext") == "10⁻²⁰" == control.nth(0).locator("b").inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    agrees(page, explorer, (3, 0, 1))
    page.locator("figure[data-explorer=along] [data-control] input").focus()
    page.keyboard.press("Home")
    agrees(page, along(), (0,))
    agrees(page, explorer, (3, 0, 1))
    assert page.evaluate("location.hash") == "#cliff=3,0,1&along=0"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_address_sets_the_state(visit: tools.Visit) -> None:
    page, explorer = visit.open("page.html#cliff=0,2,1&along=2"), cliff()
    agrees(page, explorer, (0, 2, 1))
    agrees(page, along(), (2,))
    page.evaluate("location.hash = '#cliff=1,1,0'")
    page.wait_for_function("document.querySelector('[data-explorer=cliff] input').value === '1'")
    agrees(page, explorer, (1, 1, 0))
    page.evaluate("location.hash = '#cliff=99,-3,nonsense'")
    page.wait_for_function("document.querySelector('[data-explorer=cliff] input').value === '3'")
    agrees(page, explorer, (3, 0, 0))
    page.evaluate("location.hash = '#some-section'")
    agrees(page, explorer, (3, 0, 0))


def test_values_are_read_under_the_pointer_and_by_keyboard(visit: tools.Visit) -> None:
    page, explorer = visit.open("page.html"), cliff()
    figure = page.locator("figure[data-explorer=cliff]")
    box = figure.locator("[data-line='0']").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    curve, theory = (c.at((2, 1, 0))[30] for c in explorer.frames.curves)
    reading = figure.locator("[data-reading]")
    assert reading.inner_text().startswith(f"depth 300: {number(round(curve, 3))}")
    assert reading.inner_text().endswith(f"predicted {number(round(theory, 3))}")
    reader = figure.locator("[data-reader]")
    reader.focus()
    page.keyboard.press("ArrowLeft")
    assert reading.inner_text().startswith("depth 290: ") and reader.get_attribute("aria-valuetext") == reading.inner_text()
    steps = json.loads(figure.locator("script").text_content())["x"]["steps"]
    assert figure.locator("[data-cursor]").get_attribute("d").startswith(f"M{steps[29]} 0V")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_fits_and_is_accessible(visit: tools.Visit, width: int, dark: bool) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    page = visit.open("page.html")
    page.evaluate("(dark) => document.body.style.cssText += dark ? ';background:#14181e;color:#ced6dd;color-scheme:dark' : ''", dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    letters = page.evaluate("""() => [...document.querySelectorAll('.dl-picture text')].map((t) => t.getBoundingClientRect())
        .map((r) => [r.height, r.left, r.right])""")
    assert min(h for h, _, _ in letters) > 11 and all(left >= 0 and right <= width for _, left, right in letters)
    assert tools.violations(page) == []


def test_live_widget(visit: tools.Visit) -> None:
    page, explorer = visit.open("live-still.html"), cliff()
    page.evaluate("""async ([code, html, state]) => {
      const url = URL.createObjectURL(new Blob([code], {type: "text/javascript"}));
      const {default: widget} = await import(url);
      const heard = {}, held = {html, state};
      window.model = {get: (k) => held[k], set: (k, v) => { held[k] = v; heard["change:" + k]?.(); },
                      save_changes: () => { window.saved = [...held.state]; }, on: (k, f) => { heard[k] = f; },
                      off: (k) => { delete heard[k]; }, heard};
      window.undo = await widget.render({model, el: document.getElementById("out")});
    }""", [script(), explorer.html, [1, 1, 1]])
    agrees(page, explorer, (1, 1, 1))
    page.locator("[data-control] input").first.focus()
    page.keyboard.press("ArrowLeft")
    agrees(page, explorer, (0, 1, 1))
    assert page.evaluate("window.saved") == [0, 1, 1] and page.evaluate("location.hash") == ""
    page.evaluate("model.set('state', [2, 0, 0])")
    agrees(page, explorer, (2, 0, 0))
    page.evaluate("html => { model.set('state', [1]); model.set('html', html); }", along().html)
    agrees(page, along(), (1,))
    page.evaluate("undo()")
    assert page.evaluate("Object.keys(model.heard)") == []

"""Heat maps and surfaces in a real browser: what is drawn is what the data say, whoever moves the figure."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from deeplimits.explorer import Explorer, formula, wording
from deeplimits.explorer.coding import LEVELS
from deeplimits.explorer.space import pieces
from deeplimits.explorer.wording import number
from tests.explorer.results import phase_diagram
from tests.explorer.test_forms import heat, space
from tests.site import browser as tools

pytestmark = pytest.mark.browser

# The level that is painted at the middle of each cell of a map, by its outlines.
PAINTED = """([id, nx, ny]) => {
  const figure = document.querySelector(`figure[data-explorer=${id}]`), data = JSON.parse(figure.querySelector("script").textContent);
  const middle = (e) => e.slice(1).map((v, i) => (v + e[i]) / 2);
  const rows = [];
  const fills = [...figure.querySelectorAll("[data-level]")];
  for (const y of middle(data.y.edges)) for (const x of middle(data.x.edges))
    rows.push(fills.findIndex((f) => f.isPointInFill(new DOMPoint(x, y))));
  return rows;
}"""
OUTLINES = "(name) => [...document.querySelectorAll(`figure[data-explorer=space] [data-${name}]`)].map((e) => e.getAttribute('d'))"


def phase() -> Explorer:
    return heat(id="phase", overlay="critical", contours={"chi": [1]}, labels={"weight": "weight σ_w", "bias": "bias σ_b"})


def sheet() -> Explorer:
    return space(id="space", labels={"sx": "w₁", "sy": "w₂", "sz": "a"})


def pages() -> dict[str, str]:
    plane = heat(x="weight_std", y="bias_std", id="plane", link="correlation-map", start={"activation": "relu"},
                 ds=phase_diagram().rename(weight="weight_std", bias="bias_std", strength="activation").assign_coords(activation=["tanh", "erf", "relu"]))
    return {"page": phase().html + sheet().html, "linked": plane.html + formula("correlation-map").html}


def map_agrees(page: Any, state: tuple[int, ...]) -> None:
    figure = phase()
    levels = figure.levels()[state[0]].ravel()
    shades = np.where(levels < 0, -1, levels * 64 // (LEVELS + 1))
    np.testing.assert_array_equal(page.evaluate(PAINTED, ["phase", 17, 11]), shades)
    for k, line in enumerate(figure.lines):
        drawn = page.locator(f"figure[data-explorer=phase] [data-line='{k}']")
        assert {drawn.nth(i).get_attribute("d") for i in range(2)} == {line.outlines[state[0]]}
    assert page.locator("figure[data-explorer=phase] output").inner_html() == wording.html(figure.summaries[state[0]])


def close(drawn: list[str], wanted: list[str]) -> None:
    """The same outlines, but for a unit where sines are rounded in another way."""
    for a, b in zip(drawn, wanted, strict=True):
        assert re.sub(r"\d+", "", a) == re.sub(r"\d+", "", b)
        np.testing.assert_allclose([int(v) for v in re.findall(r"\d+", a)], [int(v) for v in re.findall(r"\d+", b)], atol=1)


def space_agrees(page: Any, state: tuple[int, int, int]) -> None:
    figure = sheet()
    parts = [pieces(figure.box.unit(p.at(state)), *state[1:]) for p in figure.paths]
    close(page.evaluate(OUTLINES, "part"), [part[layer] for layer in range(12) for part in parts])
    assert page.locator("figure[data-explorer=space] output").inner_text() == figure.summaries[state[0]]
    values = page.locator("figure[data-explorer=space] :is([data-control], [data-turn]) input").evaluate_all("e => e.map((i) => i.value)")
    assert [int(v) for v in values] == list(state)


def test_script_repeats_the_first_frames_and_moves_nothing(visit: tools.Visit) -> None:
    ask = "() => [...document.querySelectorAll('.dl-picture path')].map((e) => e.getAttribute('d'))"
    names = "() => [...document.querySelectorAll('[data-axis]')].map((e) => `${e.getAttribute('x')} ${e.getAttribute('y')}`)"
    tops = "() => [...document.querySelectorAll('.dl-picture, .dl-summary')].map((e) => e.getBoundingClientRect().top)"
    for width in (390, 1280):
        visit.page.set_viewport_size({"width": width, "height": 900})
        page = visit.open("page-still.html")
        still = [page.evaluate(a) for a in (ask, names, tops)]
        page = visit.open("page.html")
        close(page.evaluate(ask)[:0] + [d for d in page.evaluate(ask) if d], [d for d in still[0] if d])
        assert [page.evaluate(a) for a in (names, tops)] == still[1:]


def test_map_follows_its_slider_and_the_address(visit: tools.Visit) -> None:
    page = visit.open("page.html#phase=0")
    map_agrees(page, (0,))
    page.locator("figure[data-explorer=phase] [data-control] input").focus()
    page.keyboard.press("ArrowRight")
    map_agrees(page, (1,))
    page.keyboard.press("End")
    map_agrees(page, (2,))
    assert page.evaluate("location.hash") == "#phase=2"


def test_map_is_read_under_the_pointer_and_by_keyboard(visit: tools.Visit) -> None:
    page, figure = visit.open("page.html"), phase()
    shown = page.locator("figure[data-explorer=phase]")
    box = shown.locator("[data-plot]").evaluate("e => { const r = e.firstChild.getScreenCTM(); return [r.e, r.f, r.a * 10000, r.d * 10000] }")
    i, j = 12, 4
    at = [figure.payload[a]["steps"][k] / 10_000 for a, k in (("x", i), ("y", j))]
    page.mouse.move(box[0] + box[2] * at[0], box[1] + box[3] * at[1])
    truth = figure.field.at((1,))[j, i]
    reading = shown.locator("[data-reading]").inner_text()
    assert reading.startswith(f"weight σw {number(figure.field.x[i], 6)}, bias σb {number(figure.field.y[j], 6)}: scale ")
    assert float(reading.split()[-1]) == pytest.approx(truth, rel=0.006)
    shown.locator("[data-reader]").nth(1).focus()
    page.keyboard.press("ArrowUp")
    assert f"bias σb {number(figure.field.y[j + 1], 6)}:" in shown.locator("[data-reading]").inner_text()
    page.keyboard.press("Home")
    page.locator("figure[data-explorer=phase] [data-control] input").focus()
    page.keyboard.press("Home")
    shown.locator("[data-reader]").nth(0).focus()
    page.keyboard.press("Home")
    assert shown.locator("[data-reading]").inner_text().endswith("scale no value")
    assert shown.locator("[data-cursor]").first.get_attribute("d").startswith("M")


def test_choosing_a_point_sets_the_linked_formula(visit: tools.Visit) -> None:
    page, linked = visit.open("linked.html"), formula("correlation-map")
    reader = page.locator("figure[data-explorer=plane] [data-reader]")
    reader.nth(0).focus()
    page.keyboard.press("End")
    reader.nth(1).focus()
    page.keyboard.press("Home")
    weight, bias = (s.values for s in linked.formula.settings[1:3])
    state = (2, weight.index(2.4), bias.index(0.0), linked.state[3])
    assert page.locator("figure[data-explorer=correlation-map] output").inner_text() == linked.compute_at(state)[1]
    assert page.evaluate("location.hash") == f"#correlation-map={','.join(map(str, state))}"
    box = page.locator("figure[data-explorer=plane] [data-plot]").bounding_box()
    before = page.evaluate("location.hash")
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    assert page.evaluate("location.hash") == before                  # to look is not to choose
    page.mouse.down()
    assert page.evaluate("location.hash") != before
    page.mouse.up()


def test_surface_turns_by_sliders_keys_and_dragging(visit: tools.Visit) -> None:
    page = visit.open("page.html")
    space_agrees(page, (1, 30, 24))
    fields = page.locator("figure[data-explorer=space] :is([data-control], [data-turn]) input")
    for k in range(3):
        fields.nth(k).focus()
        page.keyboard.press("ArrowRight")
    space_agrees(page, (2, 32, 26))
    assert fields.nth(1).get_attribute("aria-valuetext") == "32°"
    picture = page.locator("figure[data-explorer=space] .dl-picture")
    picture.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    space_agrees(page, (2, 26, 20))
    assert page.evaluate("location.hash") == "#space=2,26,20"
    box = picture.bounding_box()
    centre = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*centre)
    page.mouse.down()
    page.mouse.move(centre[0] - 60, centre[1] + 40, steps=4)
    page.mouse.up()
    space_agrees(page, (2, 56, 40))
    page.mouse.move(centre[0] + 60, centre[1], steps=2)
    space_agrees(page, (2, 56, 40))
    page.evaluate("location.hash = '#space=0,-180,90'")
    page.wait_for_function("document.querySelector('[data-explorer=space] [data-turn] input').value === '-180'")
    space_agrees(page, (0, -180, 90))
    picture.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    space_agrees(page, (0, 174, 90))


def test_surface_is_read_along_its_paths(visit: tools.Visit) -> None:
    page, figure = visit.open("page.html"), sheet()
    shown = page.locator("figure[data-explorer=space]")
    shown.locator("[data-reader]").focus()
    page.keyboard.press("End")
    reading = shown.locator("[data-reading]").inner_text()
    assert reading.startswith("step 40: first (")
    found = [float(v.replace("−", "-")) for v in re.findall(r"−?[\d.]+", reading.split("first")[1])][:3]
    np.testing.assert_allclose(found, figure.paths[0].at((1,))[-1], atol=2e-3)
    ends = page.evaluate(OUTLINES, "end")
    assert shown.locator("[data-points]").get_attribute("d") == "".join(ends)
    box = shown.locator("[data-begin]").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert shown.locator("[data-reading]").inner_text().startswith("step 0: ")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_fits_and_is_accessible(visit: tools.Visit, width: int, dark: bool) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    page = visit.open("page.html")
    page.evaluate("(dark) => document.body.style.cssText += dark ? ';background:#14181e;color:#ced6dd;color-scheme:dark' : ''", dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for state in ("30,24", "-60,-80", "134,10"):
        page.evaluate("(s) => { location.hash = '#space=1,' + s; }", state)
        page.wait_for_timeout(50)
        letters = page.evaluate("""() => [...document.querySelectorAll('.dl-picture text')].map((t) => t.getBoundingClientRect())
            .map((r) => [r.height, r.left, r.right])""")
        assert min(h for h, _, _ in letters) > 11 and all(left >= 0 and right <= width for _, left, right in letters)
    assert tools.violations(page) == []


def test_nothing_moves_by_itself(visit: tools.Visit) -> None:
    """Reduced motion asks for nothing more: a figure moves only while its reader does."""
    page = visit.open("page.html")
    page.evaluate("() => { window.count = 0; new MutationObserver(() => count++).observe(document.body, {subtree: true, attributes: true, childList: true}); }")
    page.wait_for_timeout(300)
    assert page.evaluate("count") == 0 and page.evaluate("document.getAnimations().length") == 0


def test_one_draw_for_each_move(visit: tools.Visit) -> None:
    """An answer within a frame is an answer at once, and a single one: no timer, no second pass."""
    page = visit.open("page.html")
    drawn = page.evaluate("""() => {
      const counts = [], at = document.querySelector("[data-explorer=space] [data-part]"), set = Element.prototype.setAttribute;
      let count = 0;
      Element.prototype.setAttribute = function (name, value) { if (this === at && name === "d") count++; return set.call(this, name, value); };
      for (const input of document.querySelectorAll("[data-explorer=space] :is([data-control], [data-turn]) input")) {
        count = 0;
        input.value = Number(input.value) - 2;
        input.dispatchEvent(new Event("input", {bubbles: true}));
        counts.push(count);
      }
      return counts;
    }""")
    assert drawn == [1, 1, 1]


def test_a_finger_reads_and_turns(chromium: Any, base: str) -> None:
    with tools.Visit(chromium, base, has_touch=True, is_mobile=True) as visit:
        visit.page.set_viewport_size({"width": 390, "height": 844})
        page = visit.open("page.html")
        for name in ("phase", "space"):
            shown = page.locator(f"figure[data-explorer={name}]")
            picture = shown.locator(".dl-picture")
            picture.scroll_into_view_if_needed()
            box = picture.bounding_box()
            page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            assert ":" in shown.locator("[data-reading]").inner_text()
            assert picture.evaluate("e => getComputedStyle(e).touchAction") == "pan-y"       # a page still scrolls over a figure
        page.evaluate("""() => {
          const picture = document.querySelector("figure[data-explorer=space] .dl-picture"), finger = {pointerType: "touch", bubbles: true};
          picture.setPointerCapture = () => {};
          for (const [kind, x] of [["pointerdown", 100], ["pointermove", 60], ["pointerup", 60]])
            picture.dispatchEvent(new PointerEvent(kind, {...finger, clientX: x, clientY: 300}));
        }""")
        assert page.evaluate("location.hash") == "#space=1,50,24"
        assert visit.troubles == []

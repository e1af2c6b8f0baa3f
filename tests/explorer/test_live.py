"""Beyond the grid: a live widget computes, a page does not speak of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from deeplimits.explorer import Explorer, explore, script
from deeplimits.explorer.axis import STEPS
from tests.explorer.results import hyperboloids
from tests.site import browser as tools


def decay(setting: dict[str, Any]) -> xr.Dataset:
    if setting["rate"] > 9:
        raise ValueError("rate must be at most 9")
    height = {"quiet": 1.0, "loud": 0.5}[setting["kind"]]
    depth = np.arange(0, 41)
    return xr.Dataset({"distance": ("depth", height * np.exp(-setting["rate"] * depth))}, {"depth": depth})


def shown() -> Explorer:
    rates, kinds = [0.05, 0.1, 0.2], ["quiet", "loud"]
    grid = xr.combine_nested([[decay({"rate": r, "kind": k}) for k in kinds] for r in rates], ["rate", "kind"])
    return explore(grid.assign_coords(rate=rates, kind=kinds).transpose("rate", "kind", "depth"), y="distance", compute=decay, id="decay", title="Decay",
                   summary=lambda frame: f"ends at {float(frame.distance[-1]):.3f}")


def test_page_does_not_speak_of_it() -> None:
    html = shown().html
    assert "ompute" not in html and "bench" not in html.split("</style>")[1]


def test_frame_beyond_the_grid_keeps_the_axes() -> None:
    figure = shown()
    found = figure.bench.frame({"rate": 0.13, "kind": "loud"})
    assert (found.yaxis.low, found.yaxis.high) == (figure.yaxis.low, figure.yaxis.high) and found.sizes == ()
    np.testing.assert_array_equal(found.frames.curves[0].at(()), decay({"rate": 0.13, "kind": "loud"}).distance)
    answer = figure.bench.answer({"rate": 0.13, "kind": "loud"})
    assert answer["summary"] == f"Computed at rate = 0.13, kind loud. ends at {0.5 * np.exp(-5.2):.3f}"
    assert figure.bench.answer({"rate": 10.0, "kind": "quiet"}) == {"error": "ValueError: rate must be at most 9"}
    assert figure.bench.offers() == [{"name": "rate", "label": "rate", "value": 0.1, "words": []},
                                     {"name": "kind", "label": "kind", "value": "quiet", "words": ["quiet", "loud"]}]


def test_all_forms_compute() -> None:
    ds = hyperboloids()
    space = explore(ds, surface=("sx", "sy", "sz"), paths=("px", "py", "pz"), lines="path", compute=lambda s: ds.interp(c=s["c"]))
    found = space.bench.frame({"c": 0.4})
    assert found.box == space.box and found.surface.values.shape == (15 * 19, 3)
    field = xr.Dataset({"v": (("k", "b", "a"), np.random.default_rng(0).random((3, 4, 5)))}, {"k": [1.0, 2.0, 3.0], "a": range(5), "b": range(4)})
    heat = explore(field, x="a", y="b", color="v", compute=lambda s: field.interp(k=[s["k"]]))
    found = heat.bench.frame({"k": 1.5})
    assert found.caxis == heat.caxis and found.xaxis.high == heat.xaxis.high
    np.testing.assert_allclose(found.field.at(()), field.v.interp(k=1.5))


def test_bad_answers_are_named() -> None:
    figure = explore(hyperboloids(), paths=("px", "py", "pz"), lines="path", compute=lambda s: hyperboloids())
    assert "compute must return one setting; its dataset has several values of 'c'" in figure.bench.answer({"c": 0.3})["error"]
    figure = explore(hyperboloids(), paths=("px", "py", "pz"), lines="path", compute=lambda s: 3)
    assert figure.bench.answer({"c": 0.3}) == {"error": "TypeError: compute must return an xarray.Dataset; got int"}
    with pytest.raises(TypeError, match="compute must be a function from a setting to a Dataset; got int"):
        explore(hyperboloids(), paths=("px", "py", "pz"), lines="path", compute=3)


def test_widget_answers() -> None:
    widget = shown().widget()
    widget.ask = {"count": 1, "setting": {"rate": 0.3, "kind": "quiet"}}
    assert widget.answer["count"] == 1 and widget.answer["payload"]["kind"] == "curves"


def pages() -> dict[str, str]:
    return {"live": '<div id="out"></div>'}


@pytest.mark.browser
def test_reader_computes_and_returns(visit: tools.Visit) -> None:
    explorer = shown()
    page = visit.open("live-still.html")
    page.expose_function("python", explorer.bench.answer)
    page.evaluate("""async ([code, html, offers]) => {
      const {default: widget} = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
      const heard = {}, held = {html, offers, state: [1, 0]};
      const model = {get: (k) => held[k], on: (k, f) => { heard[k] = f; }, off: () => 0, set: (k, v) => { held[k] = v; },
        save_changes: async () => { if (held.ask?.count !== held.answer?.count) {
          const count = held.ask.count;
          held.answer = {count, ...await python(held.ask.setting)};
          heard["change:answer"]();
        } }};
      widget.render({model, el: document.getElementById("out")});
    }""", [script(), explorer.html, explorer.bench.offers()])
    page.get_by_text("Compute a setting of your own").click()
    page.get_by_label("rate", exact=True).last.fill("0.13")
    page.locator(".dl-bench select").select_option("loud")
    page.get_by_role("button", name="Compute").press("Enter")
    output = page.locator("output")
    page.wait_for_function("document.querySelector('output').textContent.startsWith('Computed')")
    assert output.inner_text() == explorer.bench.answer({"rate": 0.13, "kind": "loud"})["summary"]
    points = [[int(v) for v in p.split()] for p in page.locator("[data-line='0']").get_attribute("d")[1:].split("L")]
    low, high = explorer.yaxis.low, explorer.yaxis.high
    truth = decay({"rate": 0.13, "kind": "loud"}).distance
    np.testing.assert_allclose(low + np.array(points)[:, 1] / STEPS * (high - low), truth, atol=2e-4)
    assert tools.violations(page) == []
    page.get_by_label("rate", exact=True).last.fill("10")
    page.get_by_role("button", name="Compute").click()
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('at most 9')")
    page.locator("[data-control] input").focus()
    page.keyboard.press("ArrowRight")
    assert output.inner_text() == explorer.summaries[explorer.row((0, 1), (2, 0))]

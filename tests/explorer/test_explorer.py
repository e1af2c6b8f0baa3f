from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from deeplimits import explorer
from deeplimits.explorer import Explorer, explore
from deeplimits.explorer.assembly import PARTS
from deeplimits.explorer.axis import STEPS, Axis
from deeplimits.explorer.palette import CURVES, DARK, DASHES, PREDICTED, WHITE, contrast
from deeplimits.explorer.wording import course, crossing, distinct, number
from tests.explorer.results import cutoff_profiles


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return cutoff_profiles()


@pytest.fixture(scope="module")
def shown(ds: xr.Dataset) -> Explorer:
    return explore(ds, predicted="exact", start={"precision": 1e-10, "rate": 0.2}, title="The cliff & its window <i>", id="cliff")


def embedded(figure: Explorer) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', figure.html, re.S)[1])


def values(row: list, axis: dict) -> np.ndarray:
    """Values of a row of the payload: sums of differences, in steps of the axis."""
    total, out = 0, []
    for v in row:
        total += v or 0
        out.append(np.nan if v is None else total / STEPS)
    unit = np.array(out)
    low, high = axis["low"], axis["high"]
    place = low + (high - low) * unit
    return 10.0**place if axis["log"] else place


def test_json_holds_the_data_within_quantization(ds: xr.Dataset, shown: Explorer) -> None:
    data = embedded(shown)
    assert data == json.loads(json.dumps(shown.payload))
    step = (data["y"]["high"] - data["y"]["low"]) / STEPS
    assert data["sizes"] == [4, 3, 2] and [c["name"] for c in data["controls"]] == ["precision", "rate", "kind"]
    np.testing.assert_allclose(data["x"]["values"], ds.depth, rtol=1e-5)
    for curve, name in zip(data["curves"], ["survival", "exact"], strict=True):
        flat = ds[name].values.reshape(-1, ds.sizes["depth"])
        for row, truth in zip(curve["y"], flat, strict=True):
            np.testing.assert_allclose(values(row, data["y"]), truth, rtol=0, atol=0.51 * step)
    widths = np.array(data["curves"][0]["up"]).ravel() * step
    np.testing.assert_allclose(widths, 2 * ds.survival_se.values.ravel(), rtol=0.0126, atol=1.01 * step)


def test_first_frame_draws_the_opening_state(ds: xr.Dataset, shown: Explorer) -> None:
    state = shown.state
    assert [c.texts[i] for c, i in zip(shown.frames.controls, state, strict=True)] == ["10⁻¹⁰", "0.2", "quiet"]
    drawn = re.search(r'data-line="0"[^>]* d="([^"]*)"', shown.svg)[1]
    points = np.array([[float(v) for v in p.split()] for p in re.findall(r"[ML]([^ML]+)", drawn)])
    truth = ds.survival.isel(precision=2, rate=2, kind=0).values
    height = shown.yaxis.high - shown.yaxis.low
    np.testing.assert_allclose(points[:, 0] / STEPS * 600, ds.depth, atol=600 / STEPS)
    np.testing.assert_allclose(shown.yaxis.low + points[:, 1] / STEPS * height, truth, atol=height / STEPS)
    assert PREDICTED in shown.svg and 'data-band="0"' in shown.svg
    assert "stroke=\"currentColor\"" in shown.svg and "<script" not in shown.svg


def test_default_summary_is_computed_from_the_data(ds: xr.Dataset, shown: Explorer) -> None:
    frame = ds.isel(precision=2, rate=2, kind=0)
    half = crossing(ds.depth, frame.survival)
    gap = float(abs(frame.survival - frame.exact).max())
    assert shown.summary == (f"At precision ε = 10⁻¹⁰, rate = 0.2, kind quiet, share above ε falls from 1 to 0 between depth 0 "
                             f"and 600 and passes one half at {number(half)}; the prediction is within {number(gap, 2)}.")
    assert len(shown.summaries) == 24 and abs(half - 10 * np.log(10) / 0.2) < 5


def test_summary_template_and_function(ds: xr.Dataset) -> None:
    template = explore(ds, start={"kind": "quiet"}, summary="ε = {precision}, {kind}: cut-off depth {cutoff:.0f}")
    truth = float(ds.cutoff.isel(precision=2, rate=1))
    assert template.summary == f"ε = 10⁻¹⁰, quiet: cut-off depth {truth:.0f}"
    spoken = explore(ds, summary=lambda frame: f"largest {float(frame.survival.max()):.1f}")
    assert spoken.summary == "largest 1.0"
    gone = explore(ds.assign(cutoff=ds.cutoff * np.nan), summary="cut-off depth {cutoff:.0f}")
    assert gone.summary == "cut-off depth not reached"
    with pytest.raises(ValueError, match=r"summary must use variables with one value in each frame.*'cutoff'.*got 'survival'"):
        explore(ds, summary="{survival:.2f}")


def test_everything_from_outside_is_escaped(shown: Explorer) -> None:
    html = shown.html
    assert "<i>" not in html and "<b>noisy" not in html and "noisy <b>" not in html
    assert "The cliff &amp; its window &lt;i&gt;" in html and "noisy \\u003cb>" in html
    assert html.count("</script>") == 1


def test_html_is_whole_without_script(shown: Explorer) -> None:
    html = shown.html
    assert html.startswith('<figure class="dl-explorer" data-explorer="cliff">')
    assert f"<output>{shown.summary}</output>" in html
    assert html.count('type="range"') == 3 and html.count("<select") == 1 and html.count('data-lm-suppress-shortcuts="true"') == 4
    assert 'role="img"' in html and "http://" not in html and "https://" not in html
    assert re.findall(r'aria-valuetext="([^"]*)"', html) == ["10⁻¹⁰", "0.2"]
    assert not re.search(r'\bid="', html)          # several explorers on a page cannot clash


def test_payload_is_small_and_deterministic(ds: xr.Dataset, shown: Explorer) -> None:
    again = explore(ds.copy(deep=True), predicted="exact", start={"precision": 1e-10, "rate": 0.2},
                    title="The cliff & its window <i>", id="cliff")
    assert again.html == shown.html
    assert len(shown.html.encode()) < 60_000
    with pytest.raises(ValueError, match=r"would weigh \d+ kB, above 150 kB: 4 × 3 × 2 frames of 2 curves with 2000 points.*"
                                         r"ds.isel\(depth=slice\(None, None, \d+\)\)"):
        explore(cutoff_profiles(2000), predicted="exact")


def test_gaps_where_values_are_missing() -> None:
    y = np.array([1.0, np.nan, 3.0, np.inf, -np.inf, 6.0])
    figure = explore(xr.Dataset({"survival": ("depth", y)}, {"depth": np.arange(6)}))
    data = embedded(figure)
    assert [v is None for v in data["curves"][0]["y"][0]] == [False, True, False, True, True, False]
    np.testing.assert_allclose(values(data["curves"][0]["y"][0], data["y"])[[0, 2, 5]], [1, 3, 6], atol=1e-3)
    assert re.search(r'data-line="0"[^>]* d="M\S+ \d+M\S+ \d+M\S+ \d+"', figure.svg)


def test_logarithmic_axes() -> None:
    depth = np.array([1.0, 10.0, 100.0, 1000.0])
    ds = xr.Dataset({"distance": ("depth", [1.0, 1e-100, 1e-300, 0.0]), "distance_se": ("depth", [0.1, 1e-100, 0, 0])}, {"depth": depth})
    figure = explore(ds, y="distance", xscale="log", yscale="log")
    data = embedded(figure)
    assert data["curves"][0]["y"][0][3] is None
    np.testing.assert_allclose(np.log10(values(data["curves"][0]["y"][0], data["y"])[:3]), [0, -100, -300], atol=0.04)
    np.testing.assert_allclose(np.diff(data["x"]["steps"]), STEPS / 3, atol=1)
    assert ">10⁻¹⁰⁰<" in figure.svg
    with pytest.raises(ValueError, match="xscale 'log' needs positive values; 'depth' begins at 0"):
        explore(ds.assign_coords(depth=np.arange(4)), y="distance", xscale="log")


def test_lines_have_their_own_colour_and_dashes(ds: xr.Dataset) -> None:
    figure = explore(ds, lines="precision", predicted="exact")
    assert figure.frames.sizes == (3, 2)
    for k, dash in enumerate(DASHES[:4]):
        assert f'stroke="{CURVES[k]}"' in figure.svg and (not dash or f'stroke-dasharray="{dash}"' in figure.svg)
    assert [c["label"] for c in figure.payload["curves"]][::2] == [f"precision ε = {t}" for t in ("0.1", "10⁻⁵", "10⁻¹⁰", "10⁻²⁰")]
    truth = ds.survival.isel(precision=3, rate=1, kind=0)
    np.testing.assert_array_equal(figure.frames.curves[6].at((1, 0)), truth)


def test_a_curve_need_not_depend_on_every_control(ds: xr.Dataset) -> None:
    figure = explore(ds.assign(limit=ds.exact.isel(kind=0, drop=True)), predicted="limit")
    curves = figure.payload["curves"]
    assert curves[0]["over"] == [0, 1, 2] and curves[1]["over"] == [0, 1] and len(curves[1]["y"]) == 12
    assert curves[1]["label"] == "predicted"
    for key in ("predicted", "exact"):
        assert explore(ds, predicted="exact", labels={key: "e^(-l)"}).payload["curves"][1]["label"] == "e^(-l)"
    same = explore(ds, predicted=lambda depth: np.exp(-depth / 100))
    assert same.payload["curves"][1]["over"] == [] and len(same.payload["curves"][1]["y"]) == 1


def test_bands(ds: xr.Dataset) -> None:
    assert explore(ds).frames.bands == ("± 2 standard errors (about 95 %)",)
    assert explore(ds, band=False).frames.bands == () and "up" not in explore(ds, band=False).payload["curves"][0]
    edges = ds.assign(low=ds.survival - 0.1, high=ds.survival + 0.2)
    curve = explore(edges, band=("low", "high"), ylim=(-0.5, 1.5)).payload["curves"][0]
    np.testing.assert_allclose(np.array(curve["up"]) / STEPS * 2, 0.2, rtol=0.0126)
    np.testing.assert_allclose(np.array(curve["down"]) / STEPS * 2, 0.1, rtol=0.0126)
    assert explore(edges.assign(half=ds.survival * 0 + 0.1), band="half").frames.bands == ("± half",)


def test_dimensions_of_one_entry_need_no_control(ds: xr.Dataset) -> None:
    figure = explore(ds.isel(rate=[1]), sliders=["precision", "kind"])
    assert [c.name for c in figure.frames.controls] == ["precision", "kind"]
    assert explore(ds.isel(rate=0, kind=0, precision=0)).summaries[0].startswith("Share above ε falls")


@pytest.mark.parametrize(("changes", "error", "words"), [
    ({"y": "survivel"}, ValueError, "y must name a variable of the dataset, one of 'survival'.*got 'survivel'"),
    ({"x": "layer"}, ValueError, "x must be a dimension of the dataset, one of .*'depth'.*got 'layer'"),
    ({"y": "cutoff"}, ValueError, "x must be a dimension of every drawn variable; 'cutoff' has 'precision', 'rate', not 'depth'"),
    ({"sliders": ["precision"]}, ValueError, r"dimension 'rate' is neither drawn nor in sliders.*ds.mean\('rate'\)"),
    ({"sliders": ["width"]}, ValueError, "sliders must be dimensions that are not drawn, some of .*'rate', 'kind'; got 'width'"),
    ({"lines": "depth"}, ValueError, "lines must be a dimension of y other than x, one of 'precision', 'rate', 'kind'; got 'depth'"),
    ({"predicted": "theory"}, ValueError, "predicted must name a variable.*got 'theory'"),
    ({"predicted": ["exact", "exact"]}, ValueError, r"predicted must give one variable for each y \(1\); got 2"),
    ({"predicted": lambda depth: 1.0}, ValueError, r"predicted must give one value for each of the 61 values of 'depth'; got shape \(\)"),
    ({"band": "width"}, ValueError, "band must name a variable"),
    ({"band": True}, TypeError, "band must be None, False, the name of a variable or of two; got True"),
    ({"start": {"rate": 0.3}}, ValueError, "start must hold a value of 'rate', one of 0.05, 0.1, 0.2; got 0.3"),
    ({"start": {"depth": 3}}, ValueError, "start must name controls, some of 'precision', 'rate', 'kind'; got 'depth'"),
    ({"xscale": "cubic"}, ValueError, "xscale must be 'linear' or 'log'; got 'cubic'"),
    ({"ylim": (1, 0)}, ValueError, "limits of the axis .* must increase"),
    ({"id": "1 bad"}, ValueError, "id must be a letter followed by letters, digits, '-' or '_'; got '1 bad'"),
])
def test_errors_name_the_argument(ds: xr.Dataset, changes: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        explore(ds, **changes)


def test_errors_of_coordinates(ds: xr.Dataset) -> None:
    with pytest.raises(ValueError, match=r"finite, increasing values; those of 'depth' are not \(ds.sortby\('depth'\) sorts\)"):
        explore(ds.isel(depth=slice(None, None, -1)))
    with pytest.raises(ValueError, match="a slider needs ordered values; those of 'rate' are not"):
        explore(ds.isel(rate=[1, 0, 2]))
    with pytest.raises(ValueError, match="at most 6 curves can be told apart; y and lines ask for 8"):
        explore(ds, y=["survival", "exact"], lines="precision")
    with pytest.raises(ValueError, match="nothing to draw"):
        explore(ds[["survival"]] * np.nan)
    with pytest.raises(TypeError, match=r"ds must be an xarray.Dataset.*got DataArray"):
        explore(ds.survival)
    with pytest.raises(ValueError, match="x must have a numeric coordinate"):
        explore(ds, x="kind")


def test_static_and_live_bundles(shown: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(explorer.STATIC, "1")
    bundle, _ = shown._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"} and bundle["text/html"] == shown.html
    monkeypatch.delenv(explorer.STATIC)
    bundle, _ = shown._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle and bundle["text/html"] == shown.html
    widget = shown.widget()
    assert widget is shown.widget() and widget.state == [2, 2, 0] and widget.html == shown.html
    assert widget._esm == explorer.script()


def test_script_is_short_and_asks_nothing_of_the_network() -> None:
    text = explorer.script()
    assert len(gzip.compress(text.encode(), 6)) < 12_000 and "http" not in text and "import " not in text.replace("import.meta", "")
    parts = sorted(Path(explorer.__file__).with_name("js").glob("*.js"))
    assert {p.stem for p in parts} == set(PARTS)
    assert all(len(p.read_text(encoding="utf8").splitlines()) <= 300 for p in parts)


def test_import_is_light() -> None:
    code = "import sys, deeplimits.explorer; print([m for m in ('matplotlib', 'anywidget', 'IPython') if m in sys.modules])"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert out.stdout.strip() == "[]"


def test_colours_serve_both_schemes() -> None:
    for colour in (*CURVES, PREDICTED):
        assert min(contrast(colour, WHITE), contrast(colour, DARK)) >= 3.5
    assert len(DASHES) == len(CURVES) == len(set(CURVES)) and PREDICTED not in CURVES


def test_axis_steps_and_ticks() -> None:
    axis = Axis(0.0, 1.0)
    assert axis.steps([0, 0.5, 1, np.nan, np.inf]) == [0, 5000, 10000, None, None]
    assert [t for _, t in axis.ticks()] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert next(t for _, t in Axis(-300.0, 0.0, log=True).ticks()) == "10⁻³⁰⁰"
    assert [t for _, t in Axis(0.0, 1.302, log=True).ticks()] == ["1", "2", "5", "10", "20"]
    constant = Axis.around(np.array([2.0, 2.0]), None, False, "", 0.03)
    assert constant.low < 2 < constant.high


def test_words() -> None:
    assert [number(v) for v in (0, 1.0, 0.5, 0.0123, 1234.5, 2.5e-7, float("nan"), float("inf"))] == [
        "0", "1", "0.5", "0.0123", "1234", "2.5 × 10⁻⁷", "undefined", "∞"]
    assert distinct([1.0, 1.001, 1.5]) == ["1", "1.001", "1.5"]
    assert np.isnan(crossing([0, 1], [1, 0.9])) and crossing([0, 1, 2], [1, np.nan, 0]) == 1.0
    assert course([0, 1], [2.0, 2.0], "depth") == "stays at 2 between depth 0 and 1"
    assert course([0, 1], [np.nan, np.nan], "depth") == "has no finite value"
    assert "values from 1 to 3" in course([0, 1, 2], [1, 3, 1], "depth")


def test_profile_over_sites_with_a_slider_over_depth() -> None:
    site, depth = np.arange(12), np.arange(5)
    ds = xr.Dataset({"activity": (("depth", "site"), np.sin(site + depth[:, None]))}, {"site": site, "depth": depth})
    figure = explore(ds, x="site", y="activity", sliders=["depth"], start={"depth": 3})
    assert figure.sizes == (5,) and figure.state == (3,)
    np.testing.assert_array_equal(figure.frames.curves[0].at((3,)), np.sin(site + 3))

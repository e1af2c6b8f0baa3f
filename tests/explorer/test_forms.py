"""Heat maps and surfaces: what their figures hold before a script moves them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

from deeplimits.explorer import Explorer, explore
from deeplimits.explorer.axis import STEPS
from deeplimits.explorer.coding import LEVELS, levels, pack, unpack
from deeplimits.explorer.maps import GRAIN, cells
from deeplimits.explorer.palette import DIVERGING, SEQUENTIAL, luminance, ramp
from deeplimits.explorer.space import quads, view
from tests.explorer.results import hyperboloids, phase_diagram


def heat(ds: xr.Dataset | None = None, **changes: object) -> Explorer:
    return explore(phase_diagram() if ds is None else ds, **{"x": "weight", "y": "bias", "color": "scale", "cscale": "log", "clim": (0.5, 50), **changes})


def space(**changes: object) -> Explorer:
    wanted = {"surface": ("sx", "sy", "sz"), "paths": ("px", "py", "pz"), "lines": "path", **changes}
    return explore(hyperboloids(), **wanted)


def test_codes_keep_what_they_hold() -> None:
    values = np.random.default_rng(0).normal(size=500)
    found = np.array(unpack(pack(levels(values, -4.0, 4.0)))) / LEVELS * 8 - 4
    np.testing.assert_allclose(found, values, rtol=0, atol=4 / LEVELS + 1e-12)
    assert unpack(pack(levels(np.array([np.nan, np.inf, -np.inf]), 0, 1))) == [-1, LEVELS, 0]


def test_map_holds_the_data_within_its_levels() -> None:
    ds, figure = phase_diagram(), heat()
    data = figure.payload
    assert data["kind"] == "map" and data["sizes"] == [3] and len(data["cells"]) == 3
    low, high = data["color"]["low"], data["color"]["high"]
    for frame, truth in zip(data["cells"], ds.scale.values, strict=True):
        got = np.array(unpack(frame), dtype=float).reshape(truth.shape)
        np.testing.assert_array_equal(got < 0, np.isnan(truth))
        inside = (truth > 0.5) & (truth < 50)
        np.testing.assert_allclose(low + (high - low) * got[inside] / LEVELS, np.log10(truth[inside]), atol=0.51 * (high - low) / LEVELS)
        assert (got[truth > 50] == LEVELS).all() and (got[truth < 0.5] == 0).all()
    assert data["color"]["beyond"] == [bool(np.nanmin(ds.scale) < 0.5), bool(np.nanmax(ds.scale) > 50)]
    assert "no value" in figure.legend() and "≥ 50" in figure.legend()


def test_cells_lie_around_their_values() -> None:
    figure = heat()
    data = figure.payload
    for name, truth in (("x", figure.field.x), ("y", figure.field.y)):
        edges = np.array(data[name]["edges"])
        np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2 / GRAIN, np.array(data[name]["steps"]) / STEPS, atol=1.1 / GRAIN)
        assert edges[0] == 0 and edges[-1] == GRAIN and len(edges) == len(truth) + 1
    painted = re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)", "".join(re.findall(r'data-level="\d+"[^>]* d="([^"]*)"', figure.svg)))
    blank = 0
    area = sum(int(w) * int(h) for _, _, w, h in painted)
    assert abs(area - GRAIN**2 * (1 - blank / 187)) <= GRAIN**2 * 0.001          # the opening frame is full
    assert cells(np.array([[-1, 0]]), [0, 1, 2], [0, 1], 1) == ["M1 0h1v1h-1z"]


def test_overlay_and_contour_are_the_same_line() -> None:
    figure = heat(overlay="critical", contours={"chi": [1]})
    overlay, contour = figure.lines
    truth = phase_diagram().critical.values
    for k in range(3):
        points = [np.array([[float(v) for v in p.split()] for p in re.findall(r"[ML]([^ML]+)", line.outlines[k])]) for line in (overlay, contour)]
        weight = figure.xaxis.low + points[0][:, 0] / STEPS * (figure.xaxis.high - figure.xaxis.low)
        np.testing.assert_allclose(weight, truth[k], atol=2e-4)
        across = np.interp(np.sort(points[1][:, 1]), points[0][:, 1], points[0][:, 0])
        np.testing.assert_allclose(points[1][np.argsort(points[1][:, 1]), 0], across, atol=0.01 * STEPS)
    assert figure.legend().count("<li>") >= 3 and "chi = 1" in figure.legend()


def test_two_sided_colours_have_their_centre_in_the_middle() -> None:
    figure = explore(phase_diagram(), x="weight", y="bias", color="chi", center=1)
    assert figure.caxis.low + figure.caxis.high == pytest.approx(2) and figure.colors == ramp(DIVERGING, 64)
    logged = explore(phase_diagram(), x="weight", y="bias", color="chi", center=1, cscale="log")
    assert logged.caxis.low == pytest.approx(-logged.caxis.high)


def test_palettes_are_even_in_lightness() -> None:
    bright = [luminance(c) for c in ramp(SEQUENTIAL, 64)]
    assert (np.diff(bright) > 0).all()
    left, right = bright_halves = np.split(np.array([luminance(c) for c in ramp(DIVERGING, 64)]), 2)
    assert (np.diff(left) > 0).all() and (np.diff(right) < 0).all() and len(bright_halves) == 2


def test_map_says_where_it_is_highest() -> None:
    ds = phase_diagram()
    frame = ds.chi.isel(strength=1)
    assert explore(ds, x="weight", y="bias", color="chi").summary == (
        f"At strength = 2, chi goes from {float(frame.min()):.3f} (weight 0.8, bias 0.5) to {float(frame.max()):.3g} (weight 2.4, bias 0).")
    spoken = heat(summary=lambda f: f"largest {float(f.chi.max()):.2f}")
    assert spoken.summaries[2] == f"largest {float(ds.chi.isel(strength=2).max()):.2f}"
    alone = explore(ds.isel(strength=0), x="weight", y="bias", color="chi")
    assert alone.sizes == () and alone.summary.startswith("Chi goes from")


def test_surface_holds_the_points_within_its_levels() -> None:
    ds, figure = hyperboloids(), space()
    data, box = figure.payload, figure.box
    assert data["kind"] == "surface" and data["sizes"] == [3] and data["state"] == [1, 30, 24]
    grain = max(np.subtract(box.high, box.low)) / LEVELS
    for k, triple in enumerate(("sx", "sy", "sz")):
        for c in range(3):
            got = np.array(unpack(data["surface"]["points"][c])).reshape(-1, 3)[:, k]
            truth = (ds[triple].isel(c=c) if "c" in ds[triple].dims else ds[triple]).values.ravel()
            np.testing.assert_allclose(box.low[k] + got / LEVELS * (box.high[k] - box.low[k]), truth, atol=0.51 * grain)
    path = np.array(unpack(data["paths"][1]["points"][2])).reshape(-1, 3)
    np.testing.assert_allclose(box.low[0] + path[:, 0] / LEVELS * (box.high[0] - box.low[0]), ds.px[2, 1], atol=0.51 * grain)
    assert [p["label"] for p in data["paths"]] == ["first", "second"]
    scale = np.array(box.scale)
    np.testing.assert_allclose(scale / scale[0], np.subtract(box.high, box.low) / (box.high[0] - box.low[0]))
    np.testing.assert_allclose(space(equal=False).box.scale, 3**-0.5)


def test_view_turns_as_a_rotation() -> None:
    points = np.random.default_rng(1).normal(size=(20, 3)) / 4
    for azimuth, elevation in ((0, 0), (30, 24), (-110, -66), (180, 90)):
        right, up, near = view(points, azimuth, elevation)
        turned = np.stack([right / 500 - 1, up / 500 - 1, near])
        np.testing.assert_allclose(np.linalg.norm(turned, axis=0), np.linalg.norm(points, axis=1), atol=0.003)
    assert [v.item() for v in view(np.array([[0.0, 0.0, 0.5]]), 77, 0)] == pytest.approx([500, 750, 0])


def test_layers_hold_every_cell_once() -> None:
    ds = hyperboloids().isel(c=0)
    points = np.stack([ds.sx.values.ravel(), ds.sy.values.ravel(), ds.sz.values.ravel()], axis=-1) / 3
    layers = quads(points, 19, 30, 24)
    assert sum(d.count("M") for d in layers) == 14 * 18 and sum(map(bool, layers)) > 4
    points[40] = np.nan
    assert sum(d.count("M") for d in quads(points, 19, 30, 24)) == 14 * 18 - 4


def test_a_surface_or_paths_alone() -> None:
    only = explore(hyperboloids(), surface=("sx", "sy", "sz"), title="Sheet")
    assert only.readers() == [] and only.summary == "At c = 0.6, the surface of sx, sy, sz."
    walk = explore(hyperboloids().isel(c=0), paths=("px", "py", "pz"), lines="path")
    assert walk.payload["surface"] is None and "first goes from" in walk.summary.lower() and "at step 40" in walk.summary
    one = explore(hyperboloids().isel(c=0, path=0, drop=True), paths=("px", "py", "pz"))
    assert one.payload["paths"][0]["label"] == "" and len(one.paths) == 1


def test_new_forms_are_whole_small_and_deterministic() -> None:
    for make in (heat, space):
        figure = make()
        assert figure.html == make().html and len(figure.html.encode()) < 60_000
        assert f"<output>{figure.summary}</output>" in figure.html and 'role="img"' in figure.html
        assert not re.search(r'\bid="', figure.html) and "http" not in figure.html
    assert 'data-turn=""' in space().html and "azimuth" in space().html


@pytest.mark.parametrize(("call", "words"), [
    (lambda: heat(y="biass"), "y must be a dimension of the dataset, one of .*'bias'.*got 'biass'"),
    (lambda: heat(color="critical"), "color must depend on both axes; 'critical' has 'strength', 'bias', not 'weight'"),
    (lambda: heat(y="weight"), "x and y must be two dimensions; both are 'weight'"),
    (lambda: heat(y=["bias", "strength"]), "y must name one dimension"),
    (lambda: heat(sliders=[]), r"dimension 'strength' is neither drawn nor in sliders.*ds.mean\('strength'\)"),
    (lambda: heat(sliders=["depth"]), "sliders must be dimensions that are not drawn, some of 'strength'; got 'depth'"),
    (lambda: heat(cscale="cubic"), "cscale must be 'linear' or 'log'; got 'cubic'"),
    (lambda: heat(center=-1.0), "center must be positive on a log scale; got -1.0"),
    (lambda: heat(overlay="chi"), "overlay must depend on one of 'weight' and 'bias'; 'chi' has"),
    (lambda: heat(contours=[1, 2, 3, 4, 5]), "at most 4 lines can be told apart on a map; overlay and contours ask for 5"),
    (lambda: heat(surface=("sx", "sy", "sz")), "color makes a heat map, surface and paths a turnable picture"),
    (lambda: heat(lines="strength"), "lines serves curves or a surface or paths, and this explorer shows a heat map; leave it out"),
    (lambda: explore(phase_diagram(), x="weight", y="chi", center=1), "center serves a heat map, and this explorer shows curves"),
    (lambda: heat(yscale="log"), "a log scale needs positive values; 'bias' begins at 0"),
    (lambda: space(surface=("sx", "sy")), "surface must name three variables"),
    (lambda: space(lines="height"), "lines must be a dimension of paths other than the one along them, one of .*'path'.*got 'height'"),
    (lambda: space(lines="step"), "at most 6 paths can be told apart; 'step' has 41 entries"),
    (lambda: space(turn=(400, 0)), "turn must be an azimuth between -180 and 180"),
    (lambda: explore(hyperboloids().interp(z=np.linspace(-1, 1, 60), angle=np.linspace(0, 6, 60)), surface=("sx", "sy", "sz")),
     r"surface has 60 × 60 points, more than 2500 turn within a frame; thin it: ds.isel\(z="),
    (lambda: explore(phase_diagram() * np.nan, x="weight", y="bias", color="chi"), "nothing to draw"),
])
def test_errors_name_the_argument(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_infinite_values_take_the_last_colour() -> None:
    ds = xr.Dataset({"scale": (("b", "a"), [[1.0, np.inf], [10.0, 2.0]])}, {"a": [0.0, 1.0], "b": [1.0, 2.0]})
    figure = explore(ds, x="a", y="b", color="scale", cscale="log", contours=[5])
    assert unpack(figure.payload["cells"][0])[1] == LEVELS and figure.payload["color"]["beyond"] == [False, True]


@pytest.mark.parametrize(("name", "limits"), [("bias", None), ("bias", (0.0, 0.8)), ("weight", None)])
def test_a_map_with_falling_values_is_the_mirror_of_the_map(name: str, limits: tuple[float, float] | None) -> None:
    """Rows from the top, as in a picture: the same cells, lines and ticks at mirrored places."""
    wanted = {"overlay": "critical", "contours": {"chi": [1]}, "xlim" if name == "weight" else "ylim": limits}
    up, down = heat(**wanted), heat(phase_diagram().isel({name: slice(None, None, -1)}), **wanted)
    axis = "yx"[name == "weight"]
    places = {v: s for v, s in zip(up.payload[axis]["values"], up.payload[axis]["steps"], strict=True)}
    for v, s in zip(down.payload[axis]["values"], down.payload[axis]["steps"], strict=True):
        assert s == pytest.approx(STEPS - places[v], abs=1)
    assert (np.diff(down.payload[axis]["edges"]) >= 0).all()
    np.testing.assert_array_equal(down.levels(), np.flip(up.levels(), 1 if axis == "y" else 2))
    ends = [sorted((STEPS - q if flip else q, t) for q, t in getattr(e, axis + "axis").ticks()) for e, flip in ((up, True), (down, False))]
    assert [t for _, t in ends[0]] == [t for _, t in ends[1]]
    for before, after in zip(up.lines, down.lines, strict=True):
        for one, other in zip(before.outlines, after.outlines, strict=True):
            corners = [np.array(re.findall(r"(-?\d+) (-?\d+)", d), dtype=int).reshape(-1, 2) for d in (one, other)]
            k = "xy".index(axis)
            spans = [(c[:, k].min(), c[:, k].max()) for c in corners if len(c)]
            assert not spans or spans[1] == pytest.approx((STEPS - spans[0][1], STEPS - spans[0][0]), abs=2)
    with pytest.raises(ValueError, match="increasing or decreasing values"):
        heat(phase_diagram().isel({name: [0, 2, 1]}))

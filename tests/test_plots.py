from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from scipy.special import ndtr

from deeplimits import plots
from deeplimits.explorer.palette import CURVES, DARK, DIVERGING, INK, PREDICTED, SEQUENTIAL, WHITE, contrast, ramp


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    with matplotlib.rc_context():
        yield
    plt.close("all")


def gaussian(log_ratio: float, rate: float = 0.1, spread: float = 0.2) -> xr.DataArray:
    """P(log ratio + drifting Gaussian walk > 0): cut-off depth log_ratio / rate."""
    depth = np.arange(0, 801)
    curve = ndtr((log_ratio - rate * depth) / (spread * np.sqrt(np.maximum(depth, 1e-9))))
    return xr.DataArray(curve, {"depth": depth}, name="survival")


@pytest.fixture
def measured() -> xr.Dataset:
    exact = gaussian(20.0)
    share = xr.DataArray(np.random.default_rng(1).binomial(500, exact) / 500, {"depth": exact.depth})
    return xr.Dataset({"survival": share, "survival_se": np.sqrt(share * (1 - share) / 500), "exact": exact,
                       "indicator": (("sample", "depth"), np.ones((2, 801), dtype=bool))})


def elements(picture: plots.Picture) -> list[ET.Element]:
    return list(ET.fromstring(picture.svg).iter())


def test_style_loads_and_uses_the_colours() -> None:
    plots.use_style()
    params = matplotlib.rcParams
    assert [c.lower() for c in params["axes.prop_cycle"].by_key()["color"]] == list(CURVES)
    for key in ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"):
        assert params[key].lower().lstrip("#") == INK[1:]
    assert params["savefig.transparent"] and params["svg.fonttype"] == "path"
    assert min(params["font.size"], params["xtick.labelsize"], params["legend.fontsize"]) >= 11


def test_images_have_the_colours_of_heat_maps() -> None:
    plots.use_style()
    assert matplotlib.rcParams["image.cmap"] == "viridis" and plots.PREDICTED == PREDICTED and plots.CURVES == CURVES
    for name, anchors in (("viridis", SEQUENTIAL), ("deeplimits_diverging", DIVERGING)):
        drawn = matplotlib.colormaps[name](np.linspace(0, 1, 64))[:, :3]
        np.testing.assert_allclose(drawn, [matplotlib.colors.to_rgb(c) for c in ramp(anchors, 64)], atol=0.03)


def seen(colour: str, loss: str) -> np.ndarray:
    """CIE L*a*b* of a colour as readers without one kind of cones see it (Machado, Oliveira and Fernandes, 2009)."""
    cones = {"protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
             "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
             "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]}[loss]
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.array(cones) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]) @ linear.clip(0, 1)
    t = xyz / [0.95047, 1, 1.08883]
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("loss", ["protan", "deutan", "tritan"])
def test_three_curves_and_the_prediction_stay_apart_for_colour_blind_readers(loss: str) -> None:
    colours = [seen(c, loss) for c in (*CURVES[:3], PREDICTED)]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2)) > 12
    lightness = [seen(c, loss)[0] for c in ramp(DIVERGING, 65)]
    assert (np.diff(lightness[:33]) > 0).all() and (np.diff(lightness[32:]) < 0).all()
    assert (np.diff([seen(c, loss)[0] for c in ramp(SEQUENTIAL, 64)]) > 0).all()


def test_contrast_is_as_good_as_one_colour_can_have() -> None:
    # One grey for files: 4.5 against both backgrounds is out of reach, because the two ratios multiply to less.
    assert contrast(WHITE, DARK) < 4.5**2
    assert min(contrast(INK, WHITE), contrast(INK, DARK)) > 4.1
    assert min(contrast(c, b) for c in (*CURVES, PREDICTED) for b in (WHITE, DARK)) > 3.5
    # On a page the ink is the page's own text colour, so no grey of ours is left.
    assert INK not in plots.show(plots.profile(gaussian(20.0), family="f")).svg


def test_profile_draws_the_data(measured: xr.Dataset) -> None:
    ax = plots.profile(measured, predicted="exact", family="width 16, ε = 10⁻⁹")
    curve, theory = ax.get_lines()[:2]
    np.testing.assert_array_equal(curve.get_ydata(), measured.survival)
    np.testing.assert_array_equal(theory.get_ydata(), measured.exact)
    assert theory.get_color() == PREDICTED and curve.get_color() == CURVES[0]
    assert ax.get_title("left") == "width 16, ε = 10⁻⁹"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["measured", "predicted", "± 2 standard errors (about 95 %)"]
    corners = ax.collections[0].get_paths()[0].vertices
    k = int(np.argmax(measured.survival_se.values))
    at = corners[np.isclose(corners[:, 0], k)][:, 1]
    np.testing.assert_allclose(np.ptp(at), 4 * measured.survival_se.values[k])


def test_profile_of_several_lines_and_a_predicting_function() -> None:
    threshold = xr.DataArray([1e-5, 1e-10], dims="threshold", name="threshold")
    ds = xr.concat([gaussian(10.0), gaussian(20.0)], threshold).to_dataset(name="survival")
    ax = plots.profile(ds, lines="threshold", predicted=lambda depth: np.exp(-depth), labels={"threshold": "ε"})
    assert ax.get_legend_handles_labels()[1] == ["ε = 10⁻⁵", "ε = 10⁻¹⁰", "predicted"]
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in ax.get_lines()[:2]}) == 2
    with pytest.raises(ValueError, match="dimension 'threshold' is neither drawn"):
        plots.profile(ds)
    with pytest.raises(TypeError, match="profile must be an xarray Dataset or DataArray"):
        plots.profile([1, 2])
    with pytest.raises(ValueError, match="y must name the variable to draw, one of 'a', 'b'"):
        plots.profile(xr.Dataset({"a": 1, "b": 2}))


def test_alt_text_is_written_from_the_data(measured: xr.Dataset) -> None:
    alt = plots.describe(plots.profile(measured, predicted="exact", family="width 16"))
    assert alt.startswith("width 16. Chart of survival against depth: measured falls from 1 to 0 between depth 0 and 800")
    halves = [float(v) for v in re.findall(r"passes one half at ([\d.]+)", alt)]
    np.testing.assert_allclose(halves, 200, atol=3)
    _, axes = plt.subplots(1, 2)
    axes[0].errorbar([1, 10], [0.1, 0.01], [0.01, 0.01], label=r"$\lambda_{1}$")
    axes[0].set(xlabel=r"width $N$", ylabel="gap", xscale="log", yscale="log")
    axes[1].imshow([[1.0, 2.0], [3.0, 4.0]])
    assert plots.describe(axes) == ("2 panels. (1) Chart of gap against width N (log scales): λ_1 falls from 0.1 to 0.01 between width N 1 "
                                    "and 10. (2) Chart: a heat map with values from 1 to 4.")
    assert plots.describe(plt.figure()) == ""


def test_family_collapses_profiles_with_a_cut_off() -> None:
    members = {f"1e-{k}": gaussian(k * np.log(10)) for k in (5, 10, 20, 30)}
    figure = plots.family(members, along="threshold", family="along ε", predicted=lambda c: ndtr(-1.349 * c))
    above, below = figure.axes
    assert len(above.get_lines()) == 4 and len(below.get_lines()) == 5
    _, limit = below.get_lines()[4].get_data()
    gaps = [np.nanmax(abs(line.get_ydata() - limit)) for line in below.get_lines()[:4]]
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 0.04
    alt = plots.describe(figure)
    assert alt.startswith("2 panels.") and "threshold = 1e-10 passes one half at 230" in alt
    with pytest.raises(ValueError, match="along must name the family parameter"):
        plots.family(members)
    with pytest.raises(ValueError, match="at most 6 profiles can be told apart; got 7"):
        plots.family({k: gaussian(10.0 + k) for k in range(7)}, along="k")


def test_relative_width_draws_error_bars_and_prediction() -> None:
    n = np.array([16.0, 64.0, 256.0])
    located = xr.Dataset({"relative_width": (("width", "pair"), np.outer(4 / np.sqrt(n), [1, 2])),
                          "relative_width_se": (("width", "pair"), np.full((3, 2), 0.01)), "depth": ("width", 2 * n)},
                         {"width": n, "pair": ["0.75-0.25", "0.9-0.1"]})
    ax = plots.relative_width(located, predicted=lambda n: 4 / np.sqrt(n), family="along the width")
    bars = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([np.ptp(s[:, 1]) for s in bars], 0.04)
    assert ax.get_legend_handles_labels()[1] == ["predicted", "levels 0.75 to 0.25", "levels 0.9 to 0.1"]
    by_depth = plots.relative_width(located.isel(pair=0, drop=True), "depth", predicted=[1, 0.5, 0.25])
    assert by_depth.get_xlabel() == "cut-off depth"
    with pytest.raises(ValueError, match="located must be a Dataset with a variable 'relative_width'"):
        plots.relative_width(located.drop_vars("relative_width"))
    with pytest.raises(ValueError, match="x must be a variable or dimension of located, such as 'width' or 'depth'; got 'height'"):
        plots.relative_width(located, "height")


def test_figures_have_the_style_whatever_the_session_uses(measured: xr.Dataset) -> None:
    with matplotlib.rc_context({"text.color": "red", "legend.frameon": True, "figure.facecolor": "white"}):
        picture = plots.show(plots.profile(measured, predicted="exact", family="f"))
    assert "#ff0000" not in picture.svg and not re.search(r"fill: #(fff|000)", picture.svg) and 'opacity: 0.8' not in picture.svg


def test_picture_is_described_scalable_and_unique(measured: xr.Dataset, tmp_path: Path) -> None:
    first = plots.show(plots.profile(measured), alt="Half survive at depth <200> & less.", caption="A & B")
    second = plots.show(plots.profile(measured, "exact"))
    again = plots.show(plots.profile(measured), alt="Half survive at depth <200> & less.")
    assert again.svg == first.svg and plt.get_fignums() == []
    root = elements(first)[0]
    assert root.attrib["role"] == "img" and root.attrib["aria-label"] == "Half survive at depth <200> & less."
    assert "max-width:100%" in root.attrib["style"] and "height:auto" in root.attrib["style"] and "viewBox" in root.attrib
    ids = [e.attrib["id"] for p in (first, second) for e in elements(p) if "id" in e.attrib]
    assert len(ids) == len(set(ids))
    for picture in (first, second):
        own = {e.attrib["id"] for e in elements(picture) if "id" in e.attrib}
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', picture.svg)) <= own
    assert "currentColor" in first.svg and "<script" not in first.svg and len(first.svg) < 100_000
    indexed = plots.show(plots.profile(measured, labels={"depth": "a_k, weight_std"}), alt="Words.", caption="σ_w < 2")
    assert "<figcaption>σ<sub>w</sub> &lt; 2</figcaption>" in indexed._repr_html_() and indexed.caption == "σ_w < 2"
    assert indexed.svg.count("scale(0.7)") == 1 and "scale(0.7)" not in first.svg, "one letter is an index"
    assert "<figcaption>A &amp; B</figcaption>" in first._repr_html_() and "figcaption" not in second._repr_html_()
    first.save(tmp_path / "figure.svg")
    assert INK in (tmp_path / "figure.svg").read_text(encoding="utf8")
    ET.parse(tmp_path / "figure.svg")


def test_show_wants_words_and_a_figure() -> None:
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="alt must say in words what the figure shows"):
        plots.show(ax, alt="  ")
    with pytest.raises(ValueError, match="alt must say"):
        plots.show(plt.figure())
    with pytest.raises(TypeError, match="figure must be a matplotlib figure or axes; got str"):
        plots.show("figure")
    _, axes = plt.subplots(1, 2)
    assert plots.show(axes, alt="Two empty panels.").alt == "Two empty panels."

"""Data collapse: three measures of quality, given scales, and free exponents of the width."""

from __future__ import annotations

import functools
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import deeplimits as dl
from deeplimits import criticality
from deeplimits.criticality import quality
from tests.support import assert_within_errors

WIDTHS = (64, 128, 256)


def run(width: int, samples: int = 200, A: float = 1.0, Z: float = 1.0, seed: int = 0, step: float = 0.1) -> xr.Dataset:
    """ln rho = -A ln N + ln f(l/N^Z) and a random walk along the depth, which the networks do not share."""
    depth = np.unique((np.geomspace(0.1, 1, 12) * width).astype(int))
    x = depth / width**Z
    walks = step * np.random.default_rng([seed, width]).standard_normal((samples, depth.size)).cumsum(1)
    logs = -A * math.log(width) - np.log(np.expm1(2 * x)) + walks
    return xr.Dataset({"log_rho": (("sample", "depth"), logs)}, {"depth": depth})


def runs(**options) -> dict[int, xr.Dataset]:
    return {width: run(width, **options) for width in WIDTHS}


def lines(noise: float, error: float, offset: float = 0.0, seed: int = 0, count: int = 3, points: int = 60) -> list[quality.Scaled]:
    """Points on one bent line, independent of one another; the last curve may stand apart."""
    rng = np.random.default_rng(seed)
    curves = []
    for k in range(count):
        x = np.sort(rng.uniform(0, 2, points))
        y = x - 0.2 * x**2 + noise * rng.standard_normal(points) + (offset if k == count - 1 else 0.0)
        curves.append((x, y, np.full(points, error)))
    return curves


# --- measures --------------------------------------------------------------------------------------


def plain_overlap(curves):
    """Houdayer and Hartmann's S point by point, as in their paper."""
    total, count = 0.0, 0
    for i, (x, y, e) in enumerate(curves):
        for a, b, c in zip(x, y, e, strict=True):
            near = []
            for j, (u, v, w) in enumerate(curves):
                if j != i and u[0] <= a <= u[-1]:
                    k = next(k for k in range(1, len(u)) if a <= u[k])
                    near += [(u[n], v[n], w[n]) for n in (k - 1, k)]
            if near:
                p, q, r = map(np.array, zip(*near, strict=True))
                basis = np.column_stack([np.ones_like(p), p]) / r[:, None]
                covariance = np.linalg.inv(basis.T @ basis)
                line = covariance @ basis.T @ (q / r)
                at = np.array([1.0, a])
                total += (b - at @ line) ** 2 / (c**2 + at @ covariance @ at)
                count += 1
    return total / count, count


def test_overlap_against_a_plain_loop():
    curves = lines(0.1, 0.1, offset=0.2)
    mine, other = quality.overlap(curves), plain_overlap(curves)
    assert mine[0] == pytest.approx(other[0], rel=1e-10) and mine[1] == other[1]


def test_measures_are_about_one_for_curves_that_agree_and_large_for_those_that_do_not():
    for seed in range(5):
        assert 0.7 < quality.overlap(lines(0.05, 0.05, seed=seed))[0] < 1.4
        assert 0.6 < quality.smooth(lines(0.05, 0.05, seed=seed)) < 1.5
        assert quality.overlap(lines(0.05, 0.05, offset=0.5, seed=seed))[0] > 10
        assert quality.smooth(lines(0.05, 0.05, offset=0.5, seed=seed)) > 10


def test_residual_of_parallel_curves_is_their_distance():
    x = np.linspace(0, 1, 7)
    none = np.zeros(7)
    assert quality.residual([(x, 2 * x, none), (x + 0.1, 2 * x + 0.2 - 0.3, none)])[0] == pytest.approx(0.3)
    assert np.isnan(quality.residual([(x, x, none), (x + 5, x, none)])[0])
    assert quality.overlap([(x, x, none + 1), (x + 5, x, none + 1)])[1] == 0


# --- given scales ----------------------------------------------------------------------------------


def test_right_scales_collapse_and_wrong_ones_do_not():
    right = criticality.collapse(runs(), x=lambda n: 1 / n, y=lambda n: n, statistic="typical")
    wrong = criticality.collapse(runs(), x=lambda n: n**-0.5, y=lambda n: n**0.5, statistic="typical")
    assert right.quality < 3 and right.smooth < 3 and right.residual < 0.03
    assert wrong.quality > 30 and wrong.smooth > 30 and wrong.residual > 0.1
    assert right.curves.x.shape == (3, 12) and right.points == 36


def test_a_family_that_does_not_collapse_is_told_apart():
    shapes = runs() | {256: run(256).assign(log_rho=lambda ds: ds.log_rho + np.log1p(3 * ds.depth / 256))}
    found = criticality.collapse(shapes, x=lambda n: 1 / n, y=lambda n: n, statistic="typical")
    assert found.quality > 50 and found.residual > 0.1


def test_common_factors_change_nothing():
    one = criticality.collapse(runs(), x=lambda n: 1 / n, y=lambda n: n, statistic="typical")
    other = criticality.collapse(runs(), x=lambda n: 7 / n, y=lambda n: 0.01 * n, statistic="typical")
    for name in ("quality", "residual", "smooth"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9)
    assert np.allclose(other.curves.x, 7 * one.curves.x, equal_nan=True)


def test_windows_and_powers_of_the_depth():
    found = criticality.collapse(runs(), x=lambda n: 1 / n, y=lambda n: 1.0, depth_power=1.0, window=(0.2, 0.5), statistic="typical")
    assert np.nanmin(found.curves.x) >= 0.2 and np.nanmax(found.curves.x) <= 0.5
    assert found.quality < 4
    x = found.curves.x.values
    expected = x / np.expm1(2 * x)
    inside = np.isfinite(x)
    assert (np.abs(found.curves.y.values - expected) < 4 * found.curves.y_se.values)[inside].all()


def test_curves_without_noise_and_a_reference():
    depth = np.arange(1, 200)
    family = {b: xr.DataArray(1 / (b * depth), dims="depth", coords={"depth": depth}) for b in (0.1, 0.3)}
    found = criticality.collapse(family, x=[1, 1], y={0.1: 0.1, 0.3: 0.3}, depth_power=1.0, reference=lambda x: 1.01 + 0 * x)
    assert found.quality is None and found.smooth is None
    assert found.residual == pytest.approx(0, abs=1e-12) and found.reference_residual == pytest.approx(math.log(1.01))
    assert criticality.collapse(family, x=[1, 1], y=[0.1, 0.3], tolerance=0.01).quality == pytest.approx(0, abs=1e-12)


@pytest.mark.statement("prop-universal-curve")
def test_two_activations_on_the_universal_curve():
    # at a distance of 0.005 from the critical point logarithmic corrections of a few per cent remain
    family, x, y = {}, {}, {}
    for name in ("erf", "sin"):
        factors = criticality.metric_factors(name, 0.3)
        at = factors.weight_std + 0.005
        tau = criticality.expansion(name, 0.3, at).chi - 1
        family[name] = dl.meanfield.profile(name, at, 0.3, depth=int(3 / tau), rho=1.0)
        x[name], y[name] = tau, factors.curvature / tau
    found = criticality.collapse(family, x, y, window=(0.5, 3.0), reference=lambda v: 1 / -np.expm1(-v))
    assert found.reference_residual < 0.05 and found.residual < 0.05
    raw = criticality.collapse(family, x=[1, 1], y=[1, 1], window=(150, 750))
    assert raw.residual > 2 * found.residual


# --- free exponents --------------------------------------------------------------------------------


@pytest.mark.parametrize(("A", "Z"), [(1.0, 1.0), (0.5, 0.5), (0.3, 1.2)])
def test_known_exponents_are_recovered(A, Z):
    family = {}
    for n in WIDTHS:  # the same scaled window for all, so that the known curve is seen in its bent part
        x = np.geomspace(0.2, 2, 14)
        depth = np.unique((20 * x * (n / 64) ** Z).astype(int))
        walks = 0.1 * np.random.default_rng([4, n]).standard_normal((200, depth.size)).cumsum(1)
        logs = -A * math.log(n) - np.log(np.expm1(depth / 20 / (n / 64) ** Z)) + walks
        family[n] = xr.Dataset({"log_rho": (("sample", "depth"), logs)}, {"depth": depth})
    fit = criticality.finite_size_collapse(family, window=(0.001, 10), statistic="typical", bootstrap=60)
    assert_within_errors(fit.A, fit.A_se, A)
    assert_within_errors(fit.Z, fit.Z_se, Z)
    assert fit.distance(A, Z) < 4 and fit.distance(A + 0.5, Z) > 4
    assert fit.collapse.quality < 3 and fit.at(A + 0.5, Z).quality > 10


def test_two_objectives_agree():
    smooth = criticality.finite_size_collapse(runs(), statistic="typical", bootstrap=60)
    overlap = criticality.finite_size_collapse(runs(), statistic="typical", bootstrap=30, measure="overlap")
    assert abs(smooth.A - overlap.A) < 3 * smooth.A_se and abs(smooth.Z - overlap.Z) < 3 * smooth.Z_se
    assert 0.4 < overlap.A_se / smooth.A_se < 2.5


def test_the_error_bars_cover():
    fits = [criticality.finite_size_collapse(runs(seed=s, samples=60), statistic="typical", bootstrap=40) for s in range(60)]
    squares = np.array([fit.distance(1, 1) ** 2 for fit in fits])
    inside = np.mean([abs(fit.A - 1) < 2 * fit.A_se for fit in fits])
    assert abs(inside - 0.9545) < 4 * (0.9545 * 0.0455 / 60) ** 0.5
    assert abs(squares.mean() - 2) < 4 * 2 / 60**0.5  # chi-square with two degrees of freedom


def test_units_of_depth_and_order_parameter_change_no_exponent():
    plain = criticality.finite_size_collapse(runs(), statistic="typical", bootstrap=40)
    shifted = {n: ds.assign(log_rho=ds.log_rho + 3.0) for n, ds in runs().items()}
    other = criticality.finite_size_collapse(shifted, statistic="typical", bootstrap=40)
    assert (other.A, other.Z) == pytest.approx((plain.A, plain.Z), abs=2e-3)
    assert (other.A_se, other.Z_se) == pytest.approx((plain.A_se, plain.Z_se), rel=0.05)


def test_a_pure_power_leaves_the_exponents_undetermined():
    depth = {n: np.unique((np.geomspace(0.1, 1, 12) * n).astype(int)) for n in WIDTHS}
    rng = np.random.default_rng(0)
    family = {n: xr.Dataset({"log_rho": (("sample", "depth"), -np.log(d) + 0.2 * rng.standard_normal((60, d.size)).cumsum(1))}, {"depth": d})
              for n, d in depth.items()}
    try:
        fit = criticality.finite_size_collapse(family, statistic="typical", bootstrap=40)
    except ValueError as error:
        assert "only A - δZ is determined" in str(error) or "outside" in str(error)
    else:
        assert fit.Z_se > 0.15 and fit.correlation > 0.9


def test_summaries_and_datasets_serve_as_runs():
    told = {n: criticality.summarize(ds, ["typical"], bootstrap=40, seed=k) for k, (n, ds) in enumerate(runs().items())}
    a = criticality.finite_size_collapse(told, statistic="typical")
    b = criticality.finite_size_collapse(runs(), statistic="typical", bootstrap=40)
    assert (a.A, a.Z) == pytest.approx((b.A, b.Z), rel=1e-9) and a.widths == WIDTHS


STORED = Path(__file__).parents[2] / "book" / "results" / "finite_size.nc"


@functools.cache
def stored() -> dict[int, xr.Dataset]:
    """tanh networks of widths 50 to 1600 at the critical point of infinite width, as the book keeps them."""
    assert STORED.exists(), "book/results/finite_size.nc belongs to the repository; book/results/finite_size.py makes it"
    found = {}
    with xr.open_dataset(STORED, engine="h5netcdf") as ds:
        for width in ds.width.values.tolist():
            one = ds.sel(width=width).load()
            one = one.isel(step=np.flatnonzero(one.depth.values > 0))
            found[width] = one.assign_coords(depth=("step", one.depth.values)).swap_dims(step="depth")
    return found


#: N E[rho] after so many maps, with standard errors: an independent simulation (64-bit Gram matrices, two inputs).
INDEPENDENT = {(50, 5): (28.46, 0.07), (50, 14): (14.20, 0.06), (50, 50): (3.243, 0.030), (100, 10): (37.67, 0.14), (100, 28): (14.97, 0.10),
               (100, 100): (2.945, 0.045), (200, 19): (44.83, 0.20), (200, 199): (2.805, 0.077), (400, 399): (2.69, 0.14), (800, 799): (2.69, 0.25),
               (1600, 1599): (2.70, 0.43)}


@pytest.mark.parametrize(("width", "depth"), list(INDEPENDENT))
def test_stored_networks_agree_with_an_independent_simulation(width, depth):
    value, se = INDEPENDENT[width, depth]
    at = stored()[width].sel(statistic="mean", depth=depth)
    mean = width * math.exp(float(at.log_rho))
    assert_within_errors(mean, mean * float(at.log_rho_se), value, se)


@pytest.mark.parametrize("statistic", ["mean", "typical", "median"])
def test_stored_networks_tell_the_noise(statistic):
    # N^-1 f(l/N) against the N^-1/2 f(l/N^1/2) of a noise proportional to the root of rho
    wide = criticality.finite_size_collapse(stored(), statistic=statistic, smallest=400)
    assert_within_errors(wide.A, wide.A_se, 1.0)
    assert_within_errors(wide.Z, wide.Z_se, 1.0)
    proper, wrong = wide.at(1, 1), wide.at(0.5, 0.5)
    assert wide.distance(0.5, 0.5) > 1.5 * wide.distance(1, 1)
    assert wrong.quality > proper.quality and wrong.residual > proper.residual
    # corrections of order 1/N: narrow networks give exponents that are too small, with small error bars
    fits = [criticality.finite_size_collapse(stored(), statistic=statistic, smallest=n) for n in (50, 100, 200, 400)]
    assert all(a.Z + 4 * a.Z_se < 1 for a in fits[:2]) and all(a.Z < b.Z for a, b in pairwise(fits))


# --- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "words"), [
    ({"window": (5.0, 9.0)}, "at least two points of at least two members.*Scaled depths reach from 64: 0.0938 to 1"),
    ({"window": (1.0, 0.1)}, "low < high"),
    ({"smallest": 200}, "smallest must leave at least two of the widths"),
    ({"measure": "eye"}, "'smooth', 'overlap'; got 'eye'"),
    ({"statistic": "best"}, "'mean', 'typical', 'median'"),
    ({"window": (0.1, 0.16), "degree": 3}, "must hold more than 6 points for 6 unknowns"),
])
def test_bad_arguments_of_the_fit(change, words):
    with pytest.raises(ValueError, match=words):
        criticality.finite_size_collapse(runs(samples=30), **change)


def test_bad_families():
    few = runs(samples=30) | {512: run(512, samples=4)}
    with pytest.raises(ValueError, match=r"member 512: samples: a bootstrap over networks needs at least 20"):
        criticality.finite_size_collapse(few)
    exact = {n: xr.DataArray(1.0 / np.arange(1, 99), dims="depth", coords={"depth": np.arange(1, 99)}) for n in WIDTHS}
    with pytest.raises(ValueError, match="a curve without networks, which has no error bar"):
        criticality.finite_size_collapse(exact)
    with pytest.raises(ValueError, match=r"at least two members"):
        criticality.collapse({64: run(64)}, x=[1], y=[1])
    with pytest.raises(TypeError, match="family must be a mapping"):
        criticality.collapse([run(64)], x=[1], y=[1])
    with pytest.raises(ValueError, match="no two curves overlap"):
        criticality.collapse(exact, x={64: 1, 128: 1e3, 256: 1e6}, y=[1, 1, 1])
    with pytest.raises(ValueError, match="x must be positive and finite; for 128 it is -1"):
        criticality.collapse(runs(samples=30), x=[1, -1, 1], y=[1, 1, 1])
    with pytest.raises(ValueError, match="y must have one factor for each of the 3 members; got 2"):
        criticality.collapse(runs(samples=30), x=[1, 1, 1], y=[1, 1])
    with pytest.raises(ValueError, match=r"it lacks .256."):
        criticality.collapse(runs(samples=30), x={64: 1, 128: 1}, y=[1, 1, 1])

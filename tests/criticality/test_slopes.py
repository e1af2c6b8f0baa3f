"""Local slopes and the curves they are taken of."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

import deeplimits as dl
from deeplimits import criticality
from tests.support import assert_within_errors

DEPTHS = np.unique(np.geomspace(1, 1000, 40).round().astype(int))


def curve(f, depths=DEPTHS) -> xr.DataArray:
    return xr.DataArray(np.asarray(f(depths), dtype=float), dims="depth", coords={"depth": depths})


def powers(exponent: float = 0.7, spread: float = 0.4, samples: int = 300, seed: int = 0) -> xr.Dataset:
    """Power laws with log-normal noise that walks along the depth, so that depths are correlated."""
    steps = np.random.default_rng(seed).normal(0, spread, (samples, DEPTHS.size))
    logs = -exponent * np.log(DEPTHS) + steps.cumsum(1) / 6
    return xr.Dataset({"log_rho": (("sample", "depth"), logs)}, {"depth": DEPTHS})


@pytest.mark.parametrize("ratio", [2.0, 4.0, 10.0])
def test_a_power_law_has_its_exponent_at_every_depth(ratio):
    found = criticality.effective_exponent(curve(lambda l: 3 * l**-0.7), ratio=ratio)
    assert np.allclose(found.exponent, 0.7, rtol=0, atol=1e-12)
    assert (found.exponent_se == 0).all()
    assert float(found.depth[-1]) * ratio <= 1000
    assert np.allclose(found.inverse_depth, 1 / found.depth)


def test_an_exponential_has_the_slope_of_its_chord():
    depths = 2 ** np.arange(9)
    found = criticality.effective_exponent(curve(lambda l: np.exp(-l / 50), depths), ratio=4)
    assert np.allclose(found.exponent, 3 * depths[:-2] / 50 / math.log(4), rtol=1e-12)


def test_units_of_the_order_parameter_and_of_the_depth_drop_out():
    plain = criticality.effective_exponent(curve(lambda l: 1 / (1 + l)))
    scaled = criticality.effective_exponent(xr.DataArray(7 / (1 + DEPTHS), dims="depth", coords={"depth": 3 * DEPTHS}))
    assert np.allclose(plain.exponent, scaled.exponent, rtol=1e-12)
    assert np.allclose(scaled.depth, 3 * plain.depth)


def test_mean_field_tanh_overshoots_before_it_settles():
    # an independent computation, from rho = 1/2 with m = 4; it goes on to 1.0023 at depth 1000
    profile = dl.meanfield.profile("tanh", dl.meanfield.critical_weight_std("tanh", 0.3), 0.3, depth=1200, rho=0.5)
    found = criticality.effective_exponent(profile)
    expected = {10: 0.699, 30: 0.905, 100: 0.986, 300: 1.0012}
    for depth, value in expected.items():
        assert float(found.exponent.sel(depth=depth)) == pytest.approx(value, abs=6e-4)


def test_errors_come_from_networks():
    found = criticality.effective_exponent(powers(), statistic="typical", bootstrap=400)
    for depth in (3, 30, 200):
        at = found.sel(depth=depth, method="nearest")
        assert_within_errors(float(at.exponent), float(at.exponent_se), 0.7)
    # the error of the mean logarithm is that of an ordinary mean
    ds = powers()
    far = ds.log_rho.interp(depth=4 * found.depth[5], kwargs={"bounds_error": True})
    direct = (ds.log_rho.sel(depth=found.depth[5]) - far) / math.log(4)
    assert float(found.exponent_se[5]) == pytest.approx(float(direct.std("sample", ddof=1)) / 300**0.5, rel=0.2)
    twice = xr.concat([ds, ds], "sample")
    again = criticality.effective_exponent(twice, statistic="typical", bootstrap=400)
    assert np.allclose(again.exponent, found.exponent)
    assert float((again.exponent_se / found.exponent_se).mean()) == pytest.approx(0.5**0.5, rel=0.1)


def test_the_error_bar_covers():
    inside = [abs(float(at.exponent) - 0.7) < 2 * float(at.exponent_se)
              for at in (criticality.effective_exponent(powers(seed=s, samples=100), "typical", bootstrap=100).isel(depth=12) for s in range(100))]
    assert abs(np.mean(inside) - 0.9545) < 4 * (0.9545 * 0.0455 / 100) ** 0.5


def test_mean_typical_value_and_median():
    spread, count = 1.0, 4000
    noise = np.random.default_rng(1).normal(0, spread, (count, 1)) * np.ones(3)
    ds = xr.Dataset({"rho": (("sample", "depth"), np.exp(noise - 1))}, {"depth": [1, 2, 4]})
    told = criticality.summarize(ds, bootstrap=100)
    for name, value in {"mean": -1 + spread**2 / 2, "typical": -1.0, "median": -1.0}.items():
        one = told.sel(statistic=name).isel(depth=0)
        assert_within_errors(float(one.log_rho), float(one.log_rho_se), value)
    assert told.attrs["samples"] == count


def test_a_summary_serves_as_the_run():
    ds = powers()
    told = criticality.summarize(ds, ["mean", "median"], bootstrap=60, seed=5)
    for name in ("mean", "median"):
        assert criticality.effective_exponent(told, name).identical(criticality.effective_exponent(ds, name, bootstrap=60, seed=5))
    both = criticality.effective_exponent(told, ["mean", "median"])
    assert both.exponent.dims == ("statistic", "depth")
    with pytest.raises(ValueError, match="statistic must be one of the summary's, 'mean', 'median'"):
        criticality.effective_exponent(told, "typical")


def test_runs_of_the_engine_are_read_as_they_come():
    layer = dl.Dense(50, "tanh", "critical", 0.3)
    ds = dl.simulate(layer, criticality.input_pair(layer), 16, ["log_rho", "rho"], samples=40, seed=1)
    a = criticality.effective_exponent(ds, bootstrap=50)
    b = criticality.effective_exponent(ds.drop_vars("log_rho"), bootstrap=50)
    assert np.allclose(a.exponent, b.exponent) and a.depth.values.tolist() == [1, 2, 3, 4]


def test_the_mean_survives_numbers_that_underflow():
    logs = -800.0 * np.arange(1, 5) + np.random.default_rng(0).normal(0, 0.1, (50, 4))
    ds = xr.Dataset({"log_rho": (("sample", "depth"), logs)}, {"depth": [1, 2, 3, 4]})
    found = criticality.effective_exponent(ds, ratio=2, bootstrap=30)
    assert np.allclose(found.exponent * math.log(2), [800, 1600], rtol=1e-3)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"ratio": 1.0}, "ratio must be above 1"),
    ({"ratio": 5000.0}, "run deeper"),
    ({"statistic": "mode"}, "'mean', 'typical', 'median'; got 'mode'"),
    ({"statistic": []}, "statistic must name at least one"),
    ({"window": (400, 900)}, "window must hold a depth l with both l and 4 l recorded; these go from 1 to 242"),
    ({"bootstrap": 3}, "bootstrap must be a whole number of at least 20"),
])
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        criticality.effective_exponent(powers(samples=30), **arguments)


def test_bad_runs():
    with pytest.raises(ValueError, match=r"needs at least 20 of them; got 5.*strongly correlated"):
        criticality.effective_exponent(powers(samples=5))
    with pytest.raises(ValueError, match=r"log_rho or rho.*it holds 'log_norm'"):
        criticality.summarize(xr.Dataset({"log_norm": (("sample", "depth"), np.zeros((30, 2)))}))
    with pytest.raises(ValueError, match="must be positive: it is zero at some depth"):
        criticality.effective_exponent(curve(lambda l: np.maximum(1 - l / 500, 0)))
    with pytest.raises(ValueError, match="select two"):
        three = powers().expand_dims(input=3)
        criticality.summarize(three)
    with pytest.raises(TypeError, match="a curve must come from simulate"):
        criticality.effective_exponent([1.0, 0.5])

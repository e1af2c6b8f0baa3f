"""Survival curves, envelopes and crossings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from deeplimits import cutoff
from tests.support import assert_within_errors


def curve(values, depths=None) -> xr.DataArray:
    depths = np.arange(len(values)) if depths is None else depths
    return xr.DataArray(np.asarray(values, dtype=float), dims="depth", coords={"depth": depths})


def walks(samples: int = 400, depth: int = 120, seed: int = 0) -> xr.Dataset:
    """Gaussian walks with drift -1 and variance 1 as log distances of one pair."""
    steps = np.random.default_rng(seed).normal(-1.0, 1.0, (samples, depth))
    path = np.concatenate([np.zeros((samples, 1)), steps.cumsum(1)], 1)
    pair = np.stack([np.full_like(path, -np.inf), path], -1)
    return xr.Dataset({"log_distance": (("sample", "depth", "input"), pair)}, {"depth": np.arange(depth + 1)}, {"provenance": "{}"})


@pytest.mark.statement("def-cutoff")
def test_crossings_are_linear_interpolations_of_first_crossings():
    where = cutoff.locate(curve([1, 0.9, 0.4, 0.6, 0.1, 0.0], [0, 10, 20, 30, 40, 80]))
    assert where.quantiles == pytest.approx({0.75: 13.0, 0.5: 18.0, 0.25: 35.0})
    assert (where.depth, where.window, where.relative_width) == pytest.approx((18.0, 22.0, 22 / 18))
    assert (where.depth_se, where.window_se, where.relative_width_se) == (0.0, 0.0, 0.0)


def test_envelope():
    profile = curve([1, 0.4, 0.6, 0.1])
    lower = cutoff.envelope(profile)
    assert lower.values.tolist() == [1, 0.4, 0.4, 0.1]
    assert (lower <= profile).all() and cutoff.locate(lower) == cutoff.locate(profile)
    with pytest.raises(ValueError, match="depth"):
        cutoff.envelope(xr.DataArray([1.0], dims="x"))


@pytest.mark.statement("prop-critical-no-cutoff")
def test_known_relative_widths():
    l = np.arange(6000)
    death = cutoff.locate(curve(np.exp(-l / 700), l))
    assert death.relative_width == pytest.approx(cutoff.EXPONENTIAL_RELATIVE_WIDTH, rel=1e-5)
    reciprocal = cutoff.locate(curve(1 / (1 + l / 900), l))
    assert reciprocal.relative_width == pytest.approx(cutoff.RECIPROCAL_RELATIVE_WIDTH, rel=1e-5)


def test_survival_counts_and_drops_the_reference():
    result = cutoff.survival(walks(), "log_distance", math.exp(-20.0))
    assert result.survival.dims == ("depth",)
    assert result.attrs["provenance"] == "{}"
    p = result.survival
    assert np.allclose(result.survival_se, np.sqrt(p * (1 - p) / 400))
    assert result.indicator.dims == ("sample", "depth") and result.indicator.dtype == bool
    assert np.allclose(result.indicator.mean("sample"), p)


def test_several_thresholds_and_inputs():
    ds = walks()
    ds = xr.concat([ds, ds.isel(input=[1])], dim="input")
    result = cutoff.survival(ds, "log_distance", [1e-1, 1e-5])
    assert dict(result.survival.sizes) == {"depth": 121, "threshold": 2, "input": 2}
    logs = cutoff.survival(ds, "log_distance", log_threshold=[math.log(1e-1), math.log(1e-5)])
    assert np.array_equal(logs.survival.values, result.survival.values)
    assert "log_threshold" in logs.dims
    plain = cutoff.survival(ds.assign(distance=np.exp(ds.log_distance)).isel(input=[0, 1]), "distance", 1e-5)
    assert np.array_equal(plain.survival.isel(input=1).values, result.survival.isel(threshold=1, input=0).values)


def test_dead_networks_do_not_survive():
    ds = xr.Dataset({"log_distance": (("sample", "depth"), [[0.0, -np.inf], [0.0, -1.0]])}, {"depth": [0, 1]})
    assert cutoff.survival(ds, "log_distance", log_threshold=-1e6).survival.values.tolist() == [1.0, 0.5]
    alive = xr.Dataset({"alive": (("sample", "depth"), [[True, False], [True, True]])}, {"depth": [0, 1]})
    assert cutoff.survival(alive, "alive").survival.values.tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("variable", "threshold", "error"),
    [
        ("distance", 0.1, "variable must be one of"),
        ("log_distance", 0.0, "positive"),
        ("log_distance", -1.0, "positive"),
        ("log_distance", math.nan, "finite"),
        ("log_distance", 2.0, "starting value"),
        ("log_distance", [0.1, 2.0], "starting value"),
        ("log_distance", None, "exactly one"),
    ],
)
def test_bad_thresholds(variable, threshold, error):
    with pytest.raises(ValueError, match=error):
        cutoff.survival(walks(), variable, threshold)


def test_bad_data():
    ds = walks()
    with pytest.raises(ValueError, match="two inputs"):
        cutoff.survival(ds.isel(input=[0]), "log_distance", 0.1)
    with pytest.raises(ValueError, match="NaN"):
        cutoff.survival(ds.where(ds.depth < 50), "log_distance", 0.1)
    with pytest.raises(ValueError, match="dimensions sample and depth"):
        cutoff.survival(ds.isel(sample=0), "log_distance", 0.1)


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        (curve([1.0, 0.8, 0.6]), "run deeper"),
        (curve([1.0, 0.8, 0.3]), "run deeper"),
        (curve([0.4, 0.2, 0.1]), "starting distance"),
        (curve([0.7, 0.2, 0.1], [5, 6, 7]), "smaller depths"),
        (curve([1.0, math.nan, 0.1]), "NaN"),
        (curve([1.0, 0.1], [3, 2]), "increasing"),
        (xr.DataArray(np.ones((3, 2)), dims=("depth", "x"), coords={"depth": [0, 1, 2]}), "one curve"),
    ],
)
def test_profiles_that_cannot_be_located(profile, error):
    with pytest.raises(ValueError, match=error):
        cutoff.locate(profile)


def test_other_errors_of_locate():
    with pytest.raises(TypeError, match=r"cutoff\.survival"):
        cutoff.locate([1.0, 0.0])
    for levels in ((0.5,), (0.25, 0.5, 0.75), (0.75, 0.25), (1.0, 0.5, 0.2)):
        with pytest.raises(ValueError, match="levels"):
            cutoff.locate(curve([1.0, 0.0]), levels)
    # The highest level may be crossed at depth 0: then exactly there.
    assert cutoff.locate(curve([0.7, 0.2, 0.1])).quantiles[0.75] == 0.0


def test_the_bootstrap_error_is_the_scatter_of_repetitions():
    found = [cutoff.locate(cutoff.survival(walks(300, 60, seed), "log_distance", math.exp(-30.0)), bootstrap=100) for seed in range(40)]
    for name in ("depth", "window", "relative_width"):
        values = np.array([getattr(where, name) for where in found])
        errors = np.array([getattr(where, f"{name}_se") for where in found])
        # A standard deviation from 40 repetitions is known to 11 percent.
        assert_within_errors(np.log(errors.mean() / values.std(ddof=1)), 0.11, 0.0)
    assert_within_errors(np.mean([w.depth for w in found]), np.std([w.depth for w in found]) / 40**0.5, 30.0, 0.05)


def test_the_bootstrap_is_a_function_of_its_seed():
    profile = cutoff.survival(walks(), "log_distance", 1e-8)
    assert cutoff.locate(profile, seed=1) == cutoff.locate(profile, seed=1) != cutoff.locate(profile, seed=2)

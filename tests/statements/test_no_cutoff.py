"""Statements of *Where there is no cut-off* (Part III)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

import deeplimits as dl
from tests.support import assert_within_errors

WIDTH, SAMPLES, DEPTH = 7, 1600, 120


@pytest.fixture(scope="module")
def absorbed_run():
    """Angles of narrow ReLU networks, minus infinity once they are exactly zero or a network has died."""
    pair = torch.eye(2, WIDTH, dtype=torch.float64)
    ds = dl.simulate(dl.Dense(WIDTH, "relu"), pair, DEPTH, ["log_angle"], record=range(DEPTH + 1), samples=SAMPLES, seed=3, progress=False)
    return ds.assign(log_angle=ds.log_angle.fillna(-math.inf))


@pytest.mark.statement("prop-absorption")
def test_absorption_lies_between_two_geometric_laws(absorbed_run):
    left = (absorbed_run.log_angle.isel(input=1) > -math.inf).mean("sample").values
    error = np.sqrt(left * (1 - left) / SAMPLES)
    l = np.arange(DEPTH + 1)
    assert (left >= (1 - (WIDTH + 2) * 2.0**-WIDTH) ** l - 4 * error - 4 / SAMPLES).all()
    assert (left <= (1 - 2.0**-WIDTH) ** l + 4 * error).all()


@pytest.mark.statement("prop-absorption")
def test_share_increases_to_that_of_the_absorption_time(absorbed_run):
    share = dl.cutoff.survival(absorbed_run, "log_angle", log_threshold=[-5.0, -20.0, -100.0, -700.0, -1e9]).survival
    assert (share.diff("log_threshold") >= 0).all()
    left = (absorbed_run.log_angle.isel(input=1) > -math.inf).mean("sample")
    assert np.array_equal(share.isel(log_threshold=-1).values, left.values)
    # Zero is for good: rounding must not bring a lost angle back.
    gone = np.isneginf(absorbed_run.log_angle.isel(input=1).values)
    assert (gone[:, 1:] >= gone[:, :-1]).all()
    depths = dl.cutoff.family(dl.cutoff.survival(absorbed_run, "log_angle", [1e-100, 1e-200, 1e-300])).depth.values
    assert np.ptp(depths) == 0 and depths[0] <= dl.cutoff.relu_death_depth(WIDTH) + 1


@pytest.mark.statement("prop-absorption")
def test_small_angles_are_absorbed_at_the_stated_rate(absorbed_run):
    log_angle = absorbed_run.log_angle.isel(input=1).values
    small = (log_angle[:, :-1] < -12) & np.isfinite(log_angle[:, :-1])
    lost, at_risk = (small & np.isneginf(log_angle[:, 1:])).sum(), small.sum()
    rate = (WIDTH + 1) * 2.0**-WIDTH
    assert_within_errors(lost / at_risk, math.sqrt(rate * (1 - rate) / at_risk), rate)


@pytest.mark.statement("prop-critical-no-cutoff")
@pytest.mark.parametrize("start", [1e-2, 3e-3])
def test_reciprocal_profiles_on_two_critical_lines(start):
    for b, depth, orbit in (
        (1 / (3 * math.pi), int(35 / start), lambda n: dl.meanfield.angle_profile("relu", start, n)),
        (2.0, int(2 / start), lambda n: dl.meanfield.profile("tanh", 1.0, depth=n, variance=start).variance),
    ):
        values = orbit(depth) / start
        l = np.arange(depth + 1)
        assert np.abs(values - 1 / (1 + b * start * l)).max() < 2 * start
        found = dl.cutoff.locate(xr.DataArray(values, {"depth": l}, dims="depth"))
        assert found.relative_width == pytest.approx(dl.cutoff.RECIPROCAL_RELATIVE_WIDTH, abs=3 * start)
        assert found.depth == pytest.approx(1 / (b * start), rel=2 * start, abs=2.0)


@pytest.mark.statement("prop-relu-death")
def test_death_needs_only_symmetric_rows():
    samples, width, depth = 4000, 4, 20
    layer = dl.Dense(width, "relu", weight_std="torch")  # uniform entries
    ds = dl.simulate(layer, torch.ones(1, width), depth, ["alive"], samples=samples, seed=5, progress=False)
    for l in (5, 10, 20):
        exact = dl.cutoff.relu_alive(width, l)
        assert_within_errors(float(ds.alive.sel(depth=l).mean()), math.sqrt(exact * (1 - exact) / samples), exact)

"""Predictions of the cut-off in contracting layers, against their formula and against simulated networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from deeplimits import cutoff, engine, ergodic
from deeplimits.layers import Chain, Dense
from tests.support import assert_within_errors

LAYER = Dense(16, "identity", 0.9)
# threshold, depth, crossings of .75, .5, .25 and relative width measured on 20000 networks, predicted relative width
TABLE = [
    (1e-1, 16.78, (13.57, 16.91, 20.93), 0.4351, 0.4404),
    (1e-2, 33.55, (28.87, 33.62, 39.18), 0.3068, 0.3105),
    (1e-5, 83.88, (75.83, 83.98, 92.62), 0.1998, 0.1960),
    (1e-10, 167.75, (156.5, 167.7, 179.7), 0.1380, 0.1385),
    (1e-20, 335.5, (319.6, 335.7, 352.4), 0.0976, 0.0979),
    (1e-50, 838.8, (813.6, 839.6, 865.3), 0.0616, 0.0619),
    (1e-100, 1677.5, (1642.1, 1678.7, 1715.4), 0.0437, 0.0438),
    (1e-300, 5032.6, (4971.2, 5033.5, 5096.7), 0.0249, 0.0253),
]


@pytest.mark.statement("thm-contracting-cutoff")
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]:g}")
def test_predicted_depth_and_relative_width(row):
    threshold, depth, _, _, relative_width = row
    found = cutoff.predict(LAYER, threshold)
    assert found.depth == pytest.approx(depth, abs=0.06 if depth > 300 else 6e-3)
    assert found.relative_width == pytest.approx(relative_width, abs=6e-5)


@pytest.mark.statement("thm-contracting-cutoff")
def test_prediction_is_consistent():
    found = cutoff.predict(LAYER, 1e-20, distance0=3.0)
    for p in (0.99, 0.75, 0.5, 0.25, 0.01):
        assert float(found.survival(found.quantile(p))) == pytest.approx(p, rel=1e-10)
    assert found.quantile(0.5) == pytest.approx(found.depth, rel=1e-12)
    assert found.window == pytest.approx(found.quantile(0.25) - found.quantile(0.75), rel=1e-12)
    leading = 2 * norm.ppf(0.75) * math.sqrt(found.variance * found.depth) / -found.exponent
    assert found.window == pytest.approx(leading, rel=2e-3)
    assert found.survival(0) == 1.0
    logs = cutoff.predict(LAYER, log_threshold=math.log(1e-20), distance0=3.0)
    assert logs.depth == pytest.approx(found.depth, rel=1e-12)
    deep = cutoff.predict(LAYER, log_threshold=-1e6)
    assert deep.relative_width < 1e-3 and math.isfinite(deep.window)
    sure = cutoff.predict(Dense(16, "identity", 0.9, weights="orthogonal"), 1e-3)
    assert sure.relative_width == pytest.approx(0.0, abs=1e-3)
    assert cutoff.predict(None, 1e-3, exponent=(-0.5, 0.0)).survival([0, 13, 14]).tolist() == [1.0, 1.0, 0.0]


def simulated(layer, depth, samples, x0=None, record=None):
    if x0 is None:
        x0 = torch.zeros(2, layer.width, dtype=torch.float64, device="cpu")
        x0[1, 0] = 1.0
    return engine.simulate(layer, x0, depth, ["log_distance"], record=record or range(depth + 1), samples=samples, seed=11, progress=False)


@pytest.mark.statement("thm-contracting-cutoff")
def test_simulated_profiles_and_the_table():
    samples = 2000
    profiles = cutoff.survival(simulated(LAYER, 230, samples), "log_distance", [row[0] for row in TABLE[:4]])
    for k, (threshold, _, crossings, relative_width, _) in enumerate(TABLE[:4]):
        where = cutoff.locate(profiles.isel(threshold=k))
        for p, reference in zip((0.75, 0.5, 0.25), crossings, strict=True):
            se = where.quantiles_se[p]
            assert_within_errors(where.quantiles[p], se, reference, se * (samples / 20_000) ** 0.5 + 0.03)
        assert_within_errors(where.relative_width, where.relative_width_se, relative_width, where.relative_width_se / 10**0.5)
        # The central limit theorem itself: sup-distance at most .011 on 20000 networks, plus the noise of these.
        gap = np.abs(profiles.survival.isel(threshold=k) - cutoff.predict(LAYER, threshold).survival(profiles.depth)).max()
        assert gap < 0.011 + 4 * 0.5 / samples**0.5
    assert cutoff.verdict(cutoff.family(profiles)) == "cut-off"


@pytest.mark.slow
@pytest.mark.statement("thm-contracting-cutoff")
def test_simulated_profiles_at_tiny_thresholds():
    record = list(range(0, 5400, 4))
    profiles = cutoff.survival(simulated(LAYER, 5400, 1000, record=record), "log_distance", [row[0] for row in TABLE[4:]])
    for k, (_, _, crossings, relative_width, _) in enumerate(TABLE[4:]):
        where = cutoff.locate(profiles.isel(threshold=k))
        for p, reference in zip((0.75, 0.5, 0.25), crossings, strict=True):
            assert_within_errors(where.quantiles[p], where.quantiles_se[p], reference, where.quantiles_se[p] / 20**0.5 + 0.05)
        assert_within_errors(where.relative_width, where.relative_width_se, relative_width, where.relative_width_se / 20**0.5)


@pytest.mark.statement("thm-contracting-cutoff")
def test_homogeneous_contraction_follows_the_norms():
    layer = Dense(12, "leaky_relu", 1.0, slope=0.2)
    x0 = torch.ones(2, 12, dtype=torch.float64, device="cpu")
    x0[1, :6] = 3.0
    profile = cutoff.survival(simulated(layer, 150, 600, x0), "log_distance", 1e-9)
    where, found = cutoff.locate(profile), cutoff.predict(layer, 1e-9, distance0=24**0.5)
    # The start-up term is bounded: at most a few nats, over |exponent| nats a layer.
    assert abs(where.depth - found.depth) < 4 * where.depth_se + 3 / -found.exponent
    assert abs(where.relative_width / found.relative_width - 1) < 0.25


def test_measured_exponents_serve_instead():
    found = cutoff.predict(None, 1e-10, exponent=(-0.27627, 0.02076))
    assert (round(found.depth, 1), round(found.relative_width, 3)) == (83.3, 0.077)
    same = cutoff.predict(None, 1e-10, exponent=ergodic.LyapunovExponent(-0.27627, 0.02076))
    assert same == found


def test_relu_prediction_is_given_survival():
    found = cutoff.predict(Dense(4, "relu", 1.0), 1e-6)
    assert found.death == 2.0**-4
    assert float(found.survival(10, given_survival=False)) == pytest.approx(float(found.survival(10)) * cutoff.relu_alive(4, 10), rel=1e-12)


@pytest.mark.statement("prop-relu-death")
@pytest.mark.parametrize("width", [2, 3, 4])
def test_death_of_simulated_networks(width):
    samples, depth = 3000, 6 * 2**width
    x0 = torch.ones(1, width, dtype=torch.float64, device="cpu")
    profile = cutoff.survival(engine.simulate(Dense(width), x0, depth, ["alive"], samples=samples, progress=False), "alive")
    at_ten = profile.sel(depth=10)
    assert_within_errors(float(at_ten.survival), float(at_ten.survival_se), cutoff.relu_alive(width, 10))
    where = cutoff.locate(profile)
    exact = cutoff.locate(profile.survival.copy(data=cutoff.relu_alive(width, profile.depth.values)))
    assert_within_errors(where.relative_width, where.relative_width_se, exact.relative_width)
    assert exact.relative_width == pytest.approx(cutoff.EXPONENTIAL_RELATIVE_WIDTH, rel=0.02)  # the integer grid


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: cutoff.predict(LAYER, 2.0), "starting distance"),
        (lambda: cutoff.predict(LAYER, 1.0), "starting distance"),
        (lambda: cutoff.predict(LAYER, 0.0), "threshold"),
        (lambda: cutoff.predict(LAYER), "exactly one"),
        (lambda: cutoff.predict(LAYER, 0.1, distance0=0.0), "distance0"),
        (lambda: cutoff.predict(Dense(16, "identity", 1.2), 0.1), "must contract"),
        (lambda: cutoff.predict(Dense(16, "tanh", 0.9), 0.1), "closed form"),
        (lambda: cutoff.predict(Dense(16, "identity", 0.9, fan_in=8), 0.1), "square"),
        (lambda: cutoff.predict(Chain([Dense(16, "identity", 0.9, fan_in=8)]), 0.1), "square"),
        (lambda: cutoff.predict(None, 0.1, exponent=(-1.0, -1.0)), "variance"),
        (lambda: cutoff.predict(LAYER, 0.1).quantile(1.0), "level"),
        (lambda: cutoff.predict(LAYER, 0.1).survival(-1), "depths"),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()

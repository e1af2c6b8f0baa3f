"""Statements of *Lyapunov spectra* (Part II)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import deeplimits as dl
from deeplimits import ergodic
from tests.support import assert_within_errors

CPU = torch.device("cpu")


def growth(layer, depth: int, samples: int, seed: int = 0) -> np.ndarray:
    """Changes of the log norm over ``depth`` layers, of the networks that live."""
    x0 = torch.ones(1, layer.width, dtype=torch.float32, device=CPU)
    ds = dl.simulate(layer, x0, depth, ["log_norm"], record=[0, depth], samples=samples, seed=seed, progress=False)
    change = ds.log_norm.squeeze("input").diff("depth").values.ravel()
    return change[np.isfinite(change)]


@pytest.mark.statement("thm-newman")
def test_increments_of_gaussian_frames_are_independent_with_newmans_moments():
    width, layers, samples = 4, 6, 4000
    generator = torch.Generator(device=CPU).manual_seed(0)
    frame = torch.linalg.qr(torch.ones(width, width, dtype=torch.float64, device=CPU) + torch.eye(width, dtype=torch.float64, device=CPU))[0]
    frame, logs = frame.expand(samples, width, width), []
    for _ in range(layers):
        a = torch.randn(samples, width, width, generator=generator, dtype=torch.float64, device=CPU)
        frame, r = torch.linalg.qr(a @ frame)
        logs.append(torch.log(torch.diagonal(r, dim1=-2, dim2=-1).abs()))
    steps = torch.cat(logs, 1).numpy()  # (samples, layers * width)
    mean, variance = np.tile(ergodic.newman_exponents(width), layers), np.tile(ergodic.newman_variances(width), layers)
    assert np.abs((steps.mean(0) - mean) / np.sqrt(variance / samples)).max() < 4.5
    assert np.abs(steps.var(0) / variance - 1).max() < 0.25
    correlation = np.corrcoef(steps.T) - np.eye(layers * width)
    assert np.abs(correlation).max() < 5 / samples**0.5


@pytest.mark.statement("thm-finite-width-exponent")
@pytest.mark.parametrize(
    ("width", "slope", "weights"),
    [(2, 0.1, "gaussian"), (8, 0.0, "gaussian"), (16, 0.5, "gaussian"), (8, 0.1, "orthogonal"), (4, 0.0, "orthogonal")],
)
def test_log_norms_have_the_exact_mean_and_variance(width, slope, weights):
    layer, depth = dl.Dense(width, "leaky_relu", slope=slope, weights=weights), 12
    exact, change = ergodic.lyapunov_exponent(layer), growth(layer, depth, 3000, seed=3)
    count = len(change)
    assert_within_errors(change.mean(), change.std() / count**0.5, depth * exact.value)
    spread = (change - change.mean()) ** 2
    assert_within_errors(spread.mean(), spread.std() / count**0.5, depth * exact.variance)


@pytest.mark.statement("prop-large-width-exponent")
@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_decay_at_he_is_of_the_order_of_one_over_width(slope):
    second = 6 * (1 + slope**4) / (1 + slope**2) ** 2 - 1
    for width in (500, 5000):
        exact = ergodic.lyapunov_exponent(dl.Dense(width, "leaky_relu", slope=slope)).value
        assert exact == pytest.approx(-second / (4 * width), rel=20 / width)


@pytest.mark.statement("prop-lyapunov-initialization")
@pytest.mark.parametrize(("activation", "weights"), [("relu", "gaussian"), ("leaky_relu", "gaussian"), ("leaky_relu", "orthogonal")])
def test_the_mean_log_norm_stays_at_the_lyapunov_scale(activation, weights):
    layer = dl.Dense(8, activation, weight_std="lyapunov", weights=weights)
    change = growth(layer, 40, 2500, seed=1)
    assert_within_errors(change.mean(), change.std() / len(change) ** 0.5, 0.0)
    he = growth(dl.Dense(8, activation, weights=weights), 40, 500, seed=1)
    assert he.mean() < -3  # the test can tell
    assert ergodic.critical_weight_std(layer) == pytest.approx(layer.weight_std, rel=1e-12)


@pytest.mark.statement("thm-spd-drift")
@pytest.mark.parametrize("metric", ["affine_invariant", "spd_thompson", "spd_hilbert"])
def test_slopes_of_the_distance_on_definite_matrices(metric):
    layer, start = dl.Congruence(2, weight_std=2**0.5), torch.eye(2, dtype=torch.float64, device=CPU)
    for order in ("forward", "backward"):
        d = ergodic.drift_curve(layer, getattr(dl.metrics, metric), start, [30, 120], 300, seed=4, order=order).distance.values
        slope = (d[:, 1] - d[:, 0]) / 90
        assert_within_errors(slope.mean(), slope.std() / 300**0.5, ergodic.spd_drift(2, metric))


@pytest.mark.statement("thm-furstenberg")
def test_the_mean_over_the_stationary_law_of_directions():
    pair = np.array([[[2.0, 1.0], [1.0, 1.0]], [[1.0, 3.0], [0.5, 0.2]]])
    p, rng, count = np.array([0.7, 0.3]), np.random.default_rng(0), 40_000
    x = np.full((count, 2), 0.5)
    for _ in range(40):  # each direction alone reaches its stationary law to rounding
        image = np.einsum("sij,sj->si", pair[(rng.random(count) < p[1]).astype(int)], x)
        x = image / image.sum(1, keepdims=True)
    values = sum(q * np.log((x @ a.T).sum(1)) for q, a in zip(p, pair, strict=True))
    assert_within_errors(values.mean(), values.std() / count**0.5, ergodic.furstenberg_exponent(pair, p))


@pytest.mark.statement("prop-fair-slopes")
@pytest.mark.parametrize("bias", [0.0, 0.3, 3.0])
def test_biases_leave_the_exponents_of_derivatives_alone(bias):
    layer = dl.Dense(8, "leaky_relu", slope=0.1, bias_std=bias)
    found = ergodic.lyapunov_spectrum(layer, depth=40, samples=250, burn=0, seed=int(10 * bias))

    def coins(generator, samples):
        on = torch.rand(samples, 8, 1, generator=generator, dtype=torch.float64, device=CPU) < 0.5
        w = torch.randn(samples, 8, 8, generator=generator, dtype=torch.float64, device=CPU)
        return torch.where(on, 1.0, 0.1) * w * layer.weight_std / 8**0.5

    other = ergodic.lyapunov_spectrum(coins, depth=40, samples=250, burn=0, seed=9)
    exact = ergodic.lyapunov_exponent(dl.Dense(8, "leaky_relu", slope=0.1))
    assert_within_errors(found.values[0], found.se[0], exact.value)
    assert found.se[0] ** 2 * 250 * 40 == pytest.approx(exact.variance, rel=0.4)  # independent increments
    for k in range(8):
        assert_within_errors(found.values[k], found.se[k], other.values[k], other.se[k])
    assert_within_errors(found.values[1], found.se[1], exact.value + ergodic.angle_collapse_exponent(8, 0.1))


@pytest.mark.statement("prop-fair-slopes")
def test_the_smallest_exponent_loses_log_slope_unless_all_units_are_on():
    width, values = 4, []
    for seed, slope in enumerate((1e-3, 1e-5)):
        layer = dl.Dense(width, "leaky_relu", weight_std=1.0, slope=slope, bias_std=0.5)
        values.append(ergodic.lyapunov_spectrum(layer, depth=60, samples=250, burn=0, seed=seed))
    change = (values[0].values[-1] - values[1].values[-1]) / math.log(100)
    assert_within_errors(change, math.hypot(values[0].se[-1], values[1].se[-1]) / math.log(100), 1 - 2.0**-width)

"""Closed forms of deeplimits.ergodic against the tables, other algorithms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import default_rng
from scipy.special import digamma, polygamma

from deeplimits import ergodic
from deeplimits.layers import Chain, Dense, Positive
from tests.reference import LAYERS
from tests.support import assert_within_errors

# width: exponent and variance of the collapse of small angles, ReLU.
ANGLES = [
    (4, -0.50722196, 1.21008345),
    (8, -0.25034560, 0.57036827),
    (16, -0.08682311, 0.17745310),
    (32, -0.03592448, 0.07198581),
    (64, -0.01668626, 0.03338443),
    (128, -0.00806667, 0.01613462),
    (256, -0.00396851, 0.00793716),
]
HALF_DIGIT = 6e-9


def dense(slope: float, width: int, weights: str = "gaussian", **given) -> Dense:
    name = "relu" if slope == 0 else "leaky_relu"
    return Dense(width, name, weights=weights, slope=None if slope == 0 else slope, **given)


@pytest.mark.statement("thm-log-norm-walk")
@pytest.mark.parametrize("row", LAYERS, ids=lambda row: f"a{row[0]}-N{row[1]}")
def test_exponents_of_the_table(row):
    slope, width, *reference = row
    found = []
    for weights in ("gaussian", "orthogonal"):
        layer = dense(slope, width, weights)
        exponent = ergodic.lyapunov_exponent(layer)
        found += [exponent.value, exponent.variance, ergodic.critical_weight_std(layer)]
    assert np.abs(np.subtract(found, reference)).max() < HALF_DIGIT
    assert exponent.death == (2.0**-width if slope == 0 else 0.0)


@pytest.mark.statement("prop-lyapunov-initialization")
def test_closed_forms_of_small_widths():
    relu = ergodic.lyapunov_exponent(Dense(2))
    assert relu.value == pytest.approx(-np.euler_gamma / 2 - math.log(2) / 6, rel=1e-10)
    assert ergodic.critical_weight_std(Dense(2, weights="orthogonal")) == pytest.approx(2 ** (2 / 3), rel=1e-10)
    assert ergodic.critical_weight_std(Dense(1)) == pytest.approx(math.sqrt(2 * math.exp(np.euler_gamma)), rel=1e-10)
    same = [ergodic.critical_weight_std(dense(0.3, 12, weight_std=std)) for std in (5.0, "he")]
    assert same[0] == pytest.approx(same[1], rel=1e-10)


@pytest.mark.statement("thm-log-norm-walk")
def test_linear_layers_have_elementary_exponents():
    layer = Dense(16, "identity", 0.9)
    found = ergodic.lyapunov_exponent(layer)
    assert found.value == pytest.approx(math.log(0.9) + 0.5 * (math.log(2) + digamma(8) - math.log(16)), rel=1e-10)
    assert found.variance == pytest.approx(0.25 * polygamma(1, 8), rel=1e-10)
    assert (round(found.value, 10), round(found.variance, 10)) == (-0.1372605475, 0.0332842537)
    haar = ergodic.lyapunov_exponent(Dense(16, "abs", 0.9, weights="orthogonal"))
    assert haar.value == pytest.approx(math.log(0.9), rel=1e-9)
    assert haar.variance == pytest.approx(0.0, abs=1e-10)


@pytest.mark.statement("prop-lyapunov-initialization")
def test_expansion_in_the_width():
    for width, tolerance in ((64, 3e-5), (256, 1e-6)):
        assert ergodic.lyapunov_exponent(Dense(width)).value == pytest.approx(-5 / (4 * width) - 49 / (24 * width**2), abs=tolerance)
    assert ergodic.lyapunov_exponent(Dense(256, "identity", 1.0)).value == pytest.approx(-1 / 512 - 1 / (6 * 256**2), abs=1e-8)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(("width", "fan_in"), [(6, 10), (10, 6)])
def test_rectangular_layers(width, fan_in, weights):
    import torch

    layer = Dense(width, "leaky_relu", 1.2, slope=0.2, fan_in=fan_in, weights=weights)
    exact = ergodic.lyapunov_exponent(layer)
    x = torch.ones(4000, 1, fan_in, dtype=torch.float64) / fan_in**0.5
    T = layer.sample(torch.Generator().manual_seed(1), samples=4000, dtype=torch.float64)
    change = torch.log(torch.linalg.vector_norm(T(x), dim=-1))[:, 0]
    assert_within_errors(float(change.mean()), float(change.std()) / 4000**0.5, exact.value)
    variance_se = float(((change - change.mean()) ** 2).std()) / 4000**0.5
    assert_within_errors(float(change.var()), variance_se, exact.variance)
    critical = Dense(width, "leaky_relu", ergodic.critical_weight_std(layer), slope=0.2, fan_in=fan_in, weights=weights)
    assert ergodic.lyapunov_exponent(critical).value == pytest.approx(0.0, abs=1e-10)


def test_chains_add():
    first, second = Dense(6), Dense(9, "identity", 0.7, fan_in=6)
    whole, a, b = (ergodic.lyapunov_exponent(layer) for layer in (Chain([first, second]), first, second))
    assert whole.value == pytest.approx(a.value + b.value)
    assert whole.variance == pytest.approx(a.variance + b.variance)
    assert whole.death == pytest.approx(2.0**-6)


@pytest.mark.parametrize(
    "layer",
    [Dense(8, "tanh", 0.9), Dense(8, bias_std=0.1), Dense(8, weight_std="torch"), Positive(4)],
    ids=["tanh", "bias", "uniform", "positive"],
)
def test_no_closed_form_points_to_the_estimate(layer):
    with pytest.raises(ValueError, match="lyapunov_spectrum"):
        ergodic.lyapunov_exponent(layer)
    with pytest.raises(ValueError, match="layer must be"):
        ergodic.critical_weight_std(layer)


@pytest.mark.statement("prop-angle-collapse")
@pytest.mark.parametrize("row", ANGLES, ids=lambda row: f"N{row[0]}")
def test_angle_collapse_table(row):
    width, exponent, variance = row
    assert ergodic.angle_collapse_exponent(width) == pytest.approx(exponent, abs=HALF_DIGIT)
    assert ergodic.angle_collapse_variance(width) == pytest.approx(variance, abs=HALF_DIGIT)


@pytest.mark.statement("prop-angle-collapse")
def test_angle_collapse_closed_forms():
    assert ergodic.angle_collapse_exponent(4) == pytest.approx((-3 * math.log(2) - 3.5) / 11, rel=1e-10)
    assert ergodic.angle_collapse_exponent(2) == pytest.approx(-math.log(2), rel=1e-10)
    assert ergodic.angle_collapse_exponent(8, 1.0) == pytest.approx(-0.076481, abs=6e-7)
    assert ergodic.angle_collapse_exponent(8, -1.0) == ergodic.angle_collapse_exponent(8, 1.0)
    assert ergodic.angle_collapse_exponent(8, 4.0) == pytest.approx(ergodic.angle_collapse_exponent(8, 0.25), rel=1e-12)
    # The integral for leaky units continues both closed forms.
    assert ergodic.angle_collapse_exponent(8, 1 - 1e-9) == pytest.approx(ergodic.angle_collapse_exponent(8, 1.0), rel=1e-8)
    assert ergodic.angle_collapse_variance(8, 1 - 1e-9) == pytest.approx(ergodic.angle_collapse_variance(8, 1.0), rel=1e-8)
    assert ergodic.angle_collapse_exponent(64, 1e-9) == pytest.approx(ergodic.angle_collapse_exponent(64), rel=1e-7)
    for slope in (0.1, 0.5):
        leading = -(1 + slope**4) / ((1 + slope**2) ** 2 * 1024)
        assert ergodic.angle_collapse_exponent(1024, slope) == pytest.approx(leading, rel=0.006)
    assert ergodic.angle_collapse_exponent(1024) == pytest.approx(-1 / 1024 - 4 / 1024**2, rel=3e-5)


# slope, width, exponent and its standard error, from earlier simulations.
@pytest.mark.parametrize(
    ("slope", "width", "value", "se"),
    [
        (0.1, 16, -0.08146, 0.0006),
        (0.1, 64, -0.01593, 0.0004),
        (0.5, 16, -0.04586, 0.0005),
        (0.5, 64, -0.01098, 0.0003),
        (0.5, 4, -0.2341, 0.0011),
    ],
)
@pytest.mark.statement("prop-angle-collapse")
def test_leaky_angle_collapse_table(slope, width, value, se):
    assert_within_errors(ergodic.angle_collapse_exponent(width, slope), 0.0, value, se)


@pytest.mark.statement("prop-angle-collapse")
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(("width", "slope"), [(2, 0.3), (5, 0.01), (8, -0.5), (8, 0.0)])
def test_angle_collapse_by_simulation(width, slope, weights):
    rng, count = default_rng(0), 60_000
    u, v = rng.standard_normal((2, count, width))
    if weights == "orthogonal":  # a uniform orthonormal pair
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        v -= u * (u * v).sum(1, keepdims=True)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
    unit = np.where(u > 0, 1.0, slope)
    keep = (u > 0).sum(1) >= 2 if slope == 0 else np.ones(count, dtype=bool)
    x, d = (unit * u)[keep], (unit * v)[keep]
    square = (x * x).sum(1)
    across = (d * d).sum(1) - (x * d).sum(1) ** 2 / square
    change = 0.5 * np.log(across / square)
    exact = ergodic.angle_collapse_exponent(width, slope, weights), ergodic.angle_collapse_variance(width, slope, weights)
    assert_within_errors(change.mean(), change.std() / len(change) ** 0.5, exact[0])
    spread = (change - change.mean()) ** 2
    assert_within_errors(spread.mean(), spread.std() / len(change) ** 0.5, exact[1])


@pytest.mark.statement("thm-newman")
def test_newman_exponents():
    assert ergodic.newman_exponents(8).round(6).tolist() == [
        0.974632, 0.898152, 0.807966, 0.698152, 0.557966, 0.364819, 0.057966, -0.635181,
    ]  # fmt: skip
    # Their sum is the mean log determinant, a sum of chi-squared logarithms.
    assert ergodic.newman_exponents(5).sum() == pytest.approx(0.5 * sum(math.log(2) + digamma(k / 2) for k in range(1, 6)), rel=1e-12)
    # The first one is the exponent of the linear layer.
    assert ergodic.newman_exponents(16, 0.9)[0] == pytest.approx(ergodic.lyapunov_exponent(Dense(16, "identity", 0.9)).value, rel=1e-10)
    assert ergodic.newman_variances(16)[0] == pytest.approx(ergodic.lyapunov_exponent(Dense(16, "identity", 0.9)).variance, rel=1e-10)


@pytest.mark.statement("thm-spd-drift")
def test_spd_drift_table():
    table = {
        2: (1.275642, 1.270363, 2 * math.log(2)),
        3: (1.469569, 1.270363, 2.0),
        4: (1.845247, 1.270363, 2.386294),
        5: (2.314001, 1.396304, 2.666667),
        8: (3.871973, 1.949265, 3.219628),
    }
    for width, row in table.items():
        found = [ergodic.spd_drift(width, name) for name in ("affine_invariant", "spd_thompson", "spd_hilbert")]
        assert np.abs(np.subtract(found, row)).max() < 6e-7


@pytest.mark.parametrize(
    "call",
    [
        lambda: ergodic.angle_collapse_exponent(1),
        lambda: ergodic.angle_collapse_exponent(4, weights="uniform"),
        lambda: ergodic.newman_exponents(0),
        lambda: ergodic.spd_drift(3, "hilbert"),
        lambda: ergodic.newman_exponents(3, -1.0),
    ],
)
def test_bad_arguments(call):
    with pytest.raises(ValueError, match="must be"):
        call()

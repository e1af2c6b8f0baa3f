"""How often a neuron starts with a negative balance: the sheet's values, Monte Carlo, and a second formula."""

from __future__ import annotations

import math

import pytest
from scipy.special import betainc

from deeplimits import topology
from tests.support import assert_within_errors

SCHEMES = ("he", "xavier", "he_lecun", "ntk", "mean_field")
GAUSSIAN = [  # d, m, e; He or LeCun, Xavier, He with LeCun output, all entries of variance one, mean field
    (1, 10, 1, 0.1950, 0.5, 0.140, 0.5, 0.5),
    (2, 2, 1, 0.2929, 0.3453, 0.1835, 0.2929, 0.4226),
    (2, 10, 1, 0.08713, 0.3084, 0.04654, 0.2929, 0.4226),
    (2, 100, 1, 0.009852, 0.2946, 0.004963, 0.2929, 0.4226),
    (5, 10, 1, 0.02503, 0.1137, 0.006566, 0.07559, 0.3632),
    (10, 10, 1, 0.01012, 0.04097, 0.001193, 0.01012, 0.3409),
    (10, 100, 1, 1.59e-6, 0.01267, 6.1e-8, 0.01012, 0.3409),
    (10, 1000, 1, 2.4e-11, 0.01037, 7.5e-13, 0.01012, 0.3409),
    (100, 10, 1, 0.002073, 0.002073, 2.1e-5, 9.9e-17, 0.3197),
    (784, 128, 1, 1.4e-27, 2.4e-24, 4.5e-50, 4e-120, 0.3176),
    (10, 100, 10, 5.7e-4, 0.5, 2.6e-5, 0.5, 0.9994),
    (10, 10, 10, 0.5, 0.5, 0.145, 0.5, 0.9994),
]
UNIFORM = [  # d, m; without and with bias
    (1, 10, 0.15811, 0.02618),
    (1, 100, 0.05000, 0.002618),
    (2, 2, 0.26180, 0.13090),
    (2, 10, 0.05236, 0.01171),
    (5, 5, 0.02742, 0.01154),
    (5, 10, 0.004846, 0.001442),
    (10, 10, 2.26e-4, 7.67e-5),
]


def printed(x: float, digits: int) -> float:
    return float(f"{x:.{digits}g}")


@pytest.mark.statement("prop-gaussian-initialization")
@pytest.mark.parametrize("row", GAUSSIAN, ids=str)
def test_gaussian_schemes_of_the_table(row):
    d, m, e, *values = row
    for scheme, value in zip(SCHEMES, values, strict=True):
        found = topology.negative_balance_probability(scheme, d, m, e)
        digits = 2 if value < 1e-5 or scheme == "he_lecun" or e > 1 else 3
        assert printed(found, digits) == pytest.approx(printed(value, digits), rel=0.6 * 10 ** (1 - digits)), scheme
        if scheme == "he":
            assert topology.negative_balance_probability("lecun", d, m, e) == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("case", [("he", 2, 10, 1, False), ("xavier", 5, 10, 1, False), ("he_lecun", 2, 2, 1, True), ("mean_field", 10, 7, 1, False),
                                  ("ntk", 3, 5, 2, False), ((0.4, 0.9), 3, 5, 1, False), ("torch", 2, 10, 1, True), ("torch", 5, 5, 1, False),
                                  ("torch", 8, 3, 1, False), ("torch", 3, 4, 3, True)], ids=str)
def test_probabilities_against_monte_carlo(case):
    share = topology.negative_balance_share(*case, samples=60_000, seed=3)
    assert_within_errors(share.value, share.se, topology.negative_balance_probability(*case))


@pytest.mark.statement("prop-uniform-initialization")
@pytest.mark.parametrize("row", UNIFORM, ids=str)
def test_uniform_default_of_torch(row):
    d, m, plain, biased = row
    for bias, value in ((False, plain), (True, biased)):
        found = topology.obstructed_probability("torch", d, m, 1, bias=bias)
        assert found == pytest.approx(value, rel=3e-3)
        assert topology.characteristic_probability(d / m, d + bias, 1) == pytest.approx(found, abs=1e-8)


def test_uniform_default_is_what_torch_draws():
    import torch

    torch.manual_seed(5)
    balances = [topology.balance((first := torch.nn.Linear(2, 10)).weight, torch.nn.Linear(10, 1).weight, first.bias) for _ in range(1500)]
    share = float((torch.cat(balances) < 0).double().mean())
    p = topology.obstructed_probability("torch", 2, 10, 1, bias=True)
    assert_within_errors(share, math.sqrt(p * (1 - p) / 15_000), p)


def test_closed_special_cases():
    for rho in (0.1, 1.0, 7.0):
        pair = (1.0, math.sqrt(rho))
        assert topology.obstructed_probability(pair, 1, 5, 1) == pytest.approx(2 / math.pi * math.atan(math.sqrt(rho)), rel=1e-12)
        assert topology.obstructed_probability(pair, 2, 5, 1) == pytest.approx(1 - (1 + rho) ** -0.5, rel=1e-12)
        assert topology.negative_balance_probability(pair, 3, 5, 3) == pytest.approx(betainc(1.5, 1.5, rho / (1 + rho)), rel=1e-12)
    assert topology.negative_balance_probability("ntk", 4, 9, 4) == pytest.approx(0.5, rel=1e-12)
    assert topology.obstructed_probability("mean_field", 100_000, 5, 1) == pytest.approx(0.31731, abs=2e-5)
    p = topology.obstructed_probability("he", 2, 10, 1)  # exercise 2
    assert (p, 10 * p, 1 - (1 - p) ** 10) == pytest.approx((0.087129, 0.87129, 0.5981), abs=5e-5)


def test_wider_uniform_networks_obey_symmetry():
    """P(sum of D squares < s times a sum of e squares), both ways round."""
    for s, D, e in ((0.3, 3, 2), (4.0, 5, 1), (1.0, 4, 4)):
        assert topology.characteristic_probability(s, D, e) + topology.characteristic_probability(1 / s, e, D) == pytest.approx(1, abs=1e-8)


def test_errors_name_the_argument():
    for message, call in {
        "dim_out must be 1: with 3 outputs": lambda: topology.obstructed_probability("he", 2, 10, 3),
        "init must be one of 'he', 'lecun'": lambda: topology.obstructed_probability("kaiming", 2, 10, 1),
        r"init\[1\] must be positive": lambda: topology.obstructed_probability((1.0, 0.0), 2, 10, 1),
        "init must be one of .* or a pair": lambda: topology.obstructed_probability(1.0, 2, 10, 1),
        "hidden must be": lambda: topology.obstructed_probability("he", 2, 0, 1),
        "dim_in must be": lambda: topology.obstructed_probability("torch", 0, 5, 1),
        "ratio must be positive": lambda: topology.characteristic_probability(0.0, 1, 1),
    }.items():
        with pytest.raises((ValueError, TypeError), match=message):
            call()

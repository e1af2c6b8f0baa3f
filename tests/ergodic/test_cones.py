"""Exact exponents on cones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deeplimits import ergodic
from deeplimits.layers.positive import Positive
from tests.support import assert_within_errors


@pytest.mark.statement("prop-maxplus-drift")
def test_maxplus_drift_values():
    assert ergodic.maxplus_drift(0.5) == pytest.approx(6 / 7, rel=1e-12)
    assert ergodic.maxplus_drift(0.2) == pytest.approx(0.4973352, abs=6e-8)
    assert ergodic.maxplus_drift(0.7) == pytest.approx(0.9738639, abs=6e-8)
    assert (ergodic.maxplus_drift(0.0), ergodic.maxplus_drift(1.0)) == (0.0, 1.0)


@pytest.mark.statement("prop-maxplus-drift")
def test_maxplus_drift_from_the_chain_of_differences():
    p = 0.37
    law, gain = np.zeros((3, 3)), np.zeros(3)
    for bits in range(16):
        a = np.array([[bits & 1, bits >> 1 & 1], [bits >> 2 & 1, bits >> 3 & 1]])
        chance = p ** a.sum() * (1 - p) ** (4 - a.sum())
        for difference in (-1, 0, 1):
            y = (a + np.array([difference, 0])).max(1)
            law[difference + 1, y[0] - y[1] + 1] += chance
            gain[difference + 1] += chance * (y.max() - max(difference, 0))
    values, vectors = np.linalg.eig(law.T)
    stationary = np.real(vectors[:, np.argmax(np.real(values))])
    assert ergodic.maxplus_drift(p) == pytest.approx(stationary @ gain / stationary.sum(), rel=1e-12)


@pytest.mark.statement("thm-furstenberg")
def test_furstenberg_by_collocation():
    pair = [[[2, 1], [1, 1]], [[3, 1], [2, 1]]]
    assert ergodic.furstenberg_exponent(pair, nodes=10) == pytest.approx(1.14331105, abs=6e-9)
    assert ergodic.furstenberg_exponent(pair, nodes=20) == pytest.approx(1.143311035102939, abs=1e-14)
    assert ergodic.furstenberg_exponent(pair, nodes=30) == pytest.approx(1.1433110351029492, abs=1e-14)


@pytest.mark.statement("thm-furstenberg")
def test_furstenberg_against_eigenvalues_and_simulation():
    a = [[2.0, 1.0], [1.0, 1.0]]
    assert ergodic.furstenberg_exponent([a]) == pytest.approx(math.log((3 + math.sqrt(5)) / 2), rel=1e-13)
    pair = torch.tensor([[[2.0, 1.0], [1.0, 1.0]], [[1.0, 3.0], [0.5, 0.2]]], dtype=torch.float64, device="cpu")

    def draw(generator, samples):
        return pair[(torch.rand(samples, generator=generator, device="cpu") < 0.3).long()]

    found = ergodic.lyapunov_spectrum(draw, depth=200, samples=200, count=1)
    assert_within_errors(found.values[0], found.se[0], ergodic.furstenberg_exponent(pair.numpy(), [0.7, 0.3]))


@pytest.mark.statement("thm-birkhoff")
def test_birkhoff_coefficient():
    one = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64, device="cpu")
    found = ergodic.birkhoff_bound(lambda generator, samples: one.expand(samples, 2, 2), 2)
    assert math.exp(found.value) == pytest.approx((math.sqrt(6) - 2) / (math.sqrt(6) + 2), rel=1e-12)


@pytest.mark.statement("thm-birkhoff")
def test_birkhoff_bound_counts_the_power():
    plain, root = ergodic.birkhoff_bound(Positive(3), 50), ergodic.birkhoff_bound(Positive(3, power=-0.5), 50)
    assert root.value == pytest.approx(plain.value - math.log(2), rel=1e-12)
    run = ergodic.cone_distances(Positive(3, power=-0.5), torch.tensor([[1.0, 2.0, 3.0], [2.0, 1.0, 1.0]], device="cpu"), 1, samples=20)
    assert bool((run.log_hilbert[:, 1] <= run.log_guarantee[:, 1] + 1e-12).all())


def test_birkhoff_bound_of_rank_one_is_minus_infinity():
    found = ergodic.birkhoff_bound(lambda generator, samples: torch.ones(samples, 2, 3, device="cpu"), 4)
    assert (found.value, found.se) == (-math.inf, 0.0)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: ergodic.birkhoff_bound(Positive(3, bias=0.3), 5), "linear up to a power"),
        (lambda: ergodic.birkhoff_bound(Positive(3, "tanh"), 5), "linear up to a power"),
        (lambda: ergodic.maxplus_drift(1.5), "probability"),
        (lambda: ergodic.furstenberg_exponent([[[1, 0], [1, 1]]]), "positive"),
        (lambda: ergodic.furstenberg_exponent([[[1, 1], [1, 1]]], [0.5]), "sum to one"),
        (lambda: ergodic.birkhoff_bound(lambda g, s: torch.zeros(s, 2, 2, device="cpu")), "positive"),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()

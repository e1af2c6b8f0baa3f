"""The kernel of the hidden layer and the covariance of the outputs."""

from __future__ import annotations

import math

import pytest
import torch

from deeplimits import masking


@pytest.mark.parametrize(("dim", "smallest", "largest"), [(10, 0.06430, 3.881), (20, 0.10599, 2.704), (50, 0.18984, 1.612)])
def test_extreme_eigenvalues_of_a_hundred_random_points(dim, smallest, largest):
    X, _ = masking.random_task(100, dim, seed=0)
    eigenvalues = torch.linalg.eigvalsh(masking.ntk(X))
    assert masking.smallest_eigenvalue(X) == pytest.approx(smallest, abs=5.1e-6)
    assert float(eigenvalues[-1]) == pytest.approx(largest, abs=5.1e-4)
    assert float(eigenvalues.sum()) == pytest.approx(50, rel=1e-6)  # unit inputs in float32: diagonal one half


def test_two_unit_vectors_at_sixty_degrees():
    X = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)]], dtype=torch.float64)
    torch.testing.assert_close(masking.ntk(X), torch.tensor([[1 / 2, 1 / 6], [1 / 6, 1 / 2]], dtype=torch.float64), rtol=1e-12, atol=0)
    assert masking.smallest_eigenvalue(X) == pytest.approx(1 / 3, rel=1e-12)


def test_kernel_and_covariance_are_means_over_neurons():
    X, _ = masking.random_task(6, 3, seed=4)
    X = 1.7 * X.double()  # not of unit length
    blocks = [masking.initial_weights(4000, 3, seed, entry_std=0.6, dtype=torch.float64)[0] for seed in range(40)]
    for exact, one in ((masking.ntk(X), masking.empirical_ntk), (masking.output_covariance(X, 0.6), masking.empirical_covariance)):
        drawn = torch.stack([one(X, W) for W in blocks])
        se = drawn.std(0) / math.sqrt(len(blocks))
        assert ((drawn.mean(0) - exact).abs() <= 4.5 * se + 1e-12).all()


@pytest.mark.parametrize("X", [torch.zeros(2, 3), torch.ones(3), torch.full((2, 2), math.nan)])
def test_inputs_without_a_kernel(X):
    with pytest.raises(ValueError, match="X must"):
        masking.ntk(X)

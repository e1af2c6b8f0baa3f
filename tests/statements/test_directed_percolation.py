"""Statements of *Directed percolation and convolutional networks* (Part IV); more of them in tests/engine/test_convolutional.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import deeplimits as dl
from tests.support import assert_within_errors


@pytest.mark.statement("prop-absorbing-convolution")
def test_fresh_kernels_tear_a_homogeneous_input_apart():
    layer = dl.CircularConv1d(12, 3, 3, "tanh", 1.2, 0.3, kernels="fresh")
    x0 = torch.ones(1, 36, dtype=torch.float64, device="cpu")
    ds = dl.simulate(layer, x0, 1, {"x": lambda x: x[:, 0]}, record=[1], samples=50, seed=1, progress=False)
    image = ds.x.values.reshape(50, 3, 12)
    assert (np.abs(np.diff(image, axis=-1)).min(-1) > 0).all()


@pytest.mark.statement("prop-common-noise")
def test_common_noise_does_not_fall_with_the_length_of_the_ring():
    """Relative variance of the mean square of independent differences, rings of 16 and 256 sites, two channels."""
    found = {}
    for kernels in ("shared", "fresh"):
        for size in (16, 256):
            layer = dl.CircularConv1d(size, 2, 3, "identity", 1.0, kernels=kernels)
            d = torch.randn(1, 2 * size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
            ds = dl.simulate(layer, d, 1, {"power": lambda x: x[:, 0].square().mean(-1)}, record=[1], samples=4000, seed=3, progress=False)
            power = ds.power.values.ravel()
            square = (power / power.mean() - 1) ** 2
            found[kernels, size] = square.mean(), square.std() / 4000**0.5
    for size in (16, 256):
        value, se = found["shared", size]
        assert value + 4 * se >= 2 / (3 * 2**2)
    (first, first_se), (second, second_se) = found["fresh", 16], found["fresh", 256]
    assert_within_errors(16 * second, 16 * second_se, first, first_se + 0.35 * first)  # up to the ring's own ratio of moments
    assert second < 0.2 * found["shared", 256][0]


@pytest.mark.statement("def-directed-percolation")
def test_the_empty_lattice_is_absorbing_and_a_layer_is_one_half_step():
    ds = dl.percolation.directed_percolation(30, 0.55, start="seed", size=61, samples=200, record=range(31), sites=True, seed=4, progress=False)
    alive = ds.active.values > 0
    assert (alive[:, 1:] <= alive[:, :-1]).all() and not alive[:, -1].all()
    assert ((ds.occupied.sum("site") == ds.active) & (ds.active <= ds.depth + 1)).all()

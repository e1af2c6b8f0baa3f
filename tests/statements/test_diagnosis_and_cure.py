"""Statements of *How often, and the cure* (Part V)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, poisson
from torch import nn

from deeplimits import topology
from tests.support import assert_within_errors


@pytest.mark.statement("prop-gaussian-initialization")
def test_closed_forms_of_one_and_two_incoming_weights():
    for rho in (0.03, 0.7, 5.0):
        scales = (1.0, math.sqrt(rho))
        assert topology.obstructed_probability(scales, 1, 3, 1) == pytest.approx(2 / math.pi * math.atan(math.sqrt(rho)), rel=1e-12)
        assert topology.obstructed_probability(scales, 2, 3, 1) == pytest.approx(1 - (1 + rho) ** -0.5, rel=1e-12)


@pytest.mark.statement("prop-gaussian-initialization")
def test_frozen_signs_of_wide_he_networks():
    widths = (10**2, 10**4, 10**6)
    mean = {d: [m * topology.obstructed_probability("he", d, m, 1) for m in widths] for d in (1, 2, 3)}
    assert np.diff(mean[1]).min() > 0 and mean[1][-1] == pytest.approx(2 / math.pi * 1000, rel=1e-3)
    assert mean[2][-1] == pytest.approx(1.0, abs=1e-5)
    assert np.diff(mean[3]).max() < 0 and mean[3][-1] < 3e-3
    k = np.arange(8)
    law = binom.pmf(k, 10**6, topology.obstructed_probability("he", 2, 10**6, 1))
    assert law == pytest.approx(poisson.pmf(k, 1.0), abs=1e-5)


@pytest.mark.statement("prop-gaussian-initialization")
def test_torch_initializers_draw_as_stated():
    torch.manual_seed(0)
    for d, m, e, init, name in ((2, 10, 1, nn.init.xavier_normal_, "xavier"), (3, 4, 2, nn.init.xavier_normal_, "xavier"),
                                (2, 4, 1, lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"), "he")):  # fmt: skip
        negative = 0.0
        for _ in range(1500):
            w, a = init(torch.empty(m, d)), init(torch.empty(e, m))
            negative += float((topology.balance(w, a) < 0).double().mean()) / 1500
        p = topology.negative_balance_probability(name, d, m, e)
        assert_within_errors(negative, math.sqrt(p * (1 - p) / (1500 * m)), p)


@pytest.mark.statement("prop-uniform-initialization")
@pytest.mark.parametrize(("d", "m", "bias"), [(1, 4, True), (2, 2, False), (2, 6, True), (3, 3, False)])
def test_modules_of_torch_draw_as_stated(d, m, bias):
    torch.manual_seed(1)
    frozen, count = 0, 1200
    for _ in range(count):
        inner, outer = nn.Linear(d, m, bias=bias), nn.Linear(m, 1)
        frozen += int((topology.balance(inner.weight, outer.weight, inner.bias) < 0).sum())
    dims = d + bias
    p = math.pi ** (dims / 2) / math.gamma(dims / 2 + 1) * (d / (4 * m)) ** (dims / 2) / (dims + 1)
    assert topology.obstructed_probability("torch", d, m, 1, bias) == pytest.approx(p, rel=1e-12)
    assert_within_errors(frozen / (count * m), math.sqrt(p * (1 - p) / (count * m)), p)


@pytest.mark.statement("prop-uniform-initialization")
def test_closed_form_against_the_characteristic_function():
    for d, m, dims in ((1, 10, 1), (2, 5, 2), (2, 10, 3), (5, 5, 5), (5, 5, 6)):
        exact = topology.obstructed_probability("torch", d, m, 1, dims > d)
        assert topology.characteristic_probability(d / m, dims, 1) == pytest.approx(exact, abs=1e-7)


@pytest.mark.statement("prop-cure")
def test_every_target_is_in_the_component_after_the_cure():
    w, a = topology.random_starts(5, seeds=1, dim_in=3)
    w, a = w[0], a[0].abs()
    for c in (-0.4, 0.0, 0.4):
        moved = topology.rescale(w, a, c)
        size = moved.W.square().sum(-1) + moved.a.square()
        product = w.norm(dim=-1) * a
        torch.testing.assert_close(size, torch.sqrt(c**2 + 4 * product**2))
        balances = topology.balance(moved.W, moved.a)
        balances = balances if c else torch.zeros_like(balances)
        for positive in range(6):
            target = [1.0] * positive + [-1.0] * (5 - positive)
            assert bool(topology.reachable(balances, moved.a, target)) == (c > 0 or positive == 5)
        assert topology.components([c] * 5, 3, 1) == (32 if c < 0 else 1)

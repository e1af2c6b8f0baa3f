"""Statements of *The shape of what is reachable* (Part V)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeplimits import topology

F64 = torch.float64


@pytest.mark.statement("prop-cone-trap")
def test_the_flow_stays_in_front_of_the_tip_and_descent_passes_later_for_smaller_rates():
    start = topology.rescale(*topology.reference_start(), 0.0)
    flow = topology.train_population(start.W, start.a, "T1", method="rk4", lr=0.1, steps=500)
    second = flow.output.values[0, :, 1]
    assert (second > 0).all() and (np.diff(second) < 1e-12)[-20:].all() and second[-1] < 2e-3
    assert abs(flow.balance.values[0, -1]).max() < 1e-4
    assert flow.loss.values[0, -1] == pytest.approx(0.18886481, abs=1e-5)
    rates = [0.2, 0.1, 0.05]
    descent = topology.train_population(start.W, start.a, "T1", lr=rates, steps=900, record=[0, 900])
    assert (descent.flip_step.values > 0).all() and (descent.flip_neuron.values == 1).all()
    times = descent.flip_step.values * rates
    assert times[0] < times[1] < times[2]
    # a logarithm: equal steps for equal ratios, far from the doubling of a power law with exponent one
    assert times[2] - times[1] == pytest.approx(times[1] - times[0], rel=0.2)
    assert (descent.flip_balance.values > 0).all()


@pytest.mark.statement("prop-cone-trap")
@pytest.mark.parametrize("seed", range(3))
def test_one_step_from_the_cone_raises_the_balance(seed):
    g = torch.Generator(device="cpu").manual_seed(seed)
    w, u = (torch.randn(1, 3, generator=g, dtype=F64, device="cpu") for _ in range(2))
    a = w.norm(dim=1)
    assert float(topology.balance(w, a)) == pytest.approx(0, abs=1e-12)
    assert float(topology.balance_change(a.unsqueeze(1) * u, (w * u).sum(1), 0.1)) > 0
    assert float(topology.balance_change(a.unsqueeze(1) * w, (w * w).sum(1), 0.1)) == pytest.approx(0, abs=1e-12)


@pytest.mark.statement("cor-convex-for-ever")
def test_networks_of_frozen_positive_neurons_stay_convex_on_every_line():
    g = torch.Generator(device="cpu").manual_seed(4)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=F64, device="cpu")
    X = draw(60, 2)
    line = torch.linspace(-3, 3, 200, dtype=F64, device="cpu").unsqueeze(1) * draw(1, 2) + draw(1, 2)
    lowest = {}
    for c in (-0.1, 0.4):
        start = topology.rescale(draw(5, 2) / 2, draw(5).abs(), c, draw(5) / 4)
        run = topology.descend(topology.data_loss(X, -X[:, 0].abs() - X[:, 1].relu()), start.W, start.a, start.b, lr=0.02, steps=300, record=50)
        values = torch.stack([torch.relu(line @ W.mT + b) @ a for W, a, b in zip(run.W, run.a, run.b, strict=True)])
        lowest[c] = float(values.diff(n=2, dim=1).min())
    assert lowest[-0.1] > -1e-12 and lowest[0.4] < -1e-3


@pytest.mark.statement("prop-reachability")
def test_training_never_fits_what_the_criterion_forbids():
    g = torch.Generator(device="cpu").manual_seed(9)
    W = torch.randn(80, 3, 2, generator=g, dtype=F64, device="cpu")
    signs = torch.randn(80, 3, generator=g, dtype=F64, device="cpu").sign()
    start = topology.rescale(W, signs, -0.25)
    end = topology.train_population(start.W, start.a, "T1", lr=0.1, steps=600, record=[0, 600])
    allowed = np.array([bool(topology.reachable([-0.25] * 3, s, [1, -1])) for s in signs])
    loss = end.loss.values[:, -1]
    assert 5 < (~allowed).sum() and loss[~allowed].min() > 0.188864
    assert (loss[allowed] < 0.0034).sum() > 20
    assert (np.sign(end.output.values[:, -1]) == signs.numpy()).all()


@pytest.mark.statement("prop-components")
def test_with_two_outputs_the_vector_turns_around():
    """A path on the quadric from a > 0 to a < 0 (first output), which one output does not have."""
    g = torch.Generator(device="cpu").manual_seed(0)
    data = torch.randn(200, 2, generator=g, dtype=F64, device="cpu")
    W, a = topology.reference_start()
    parts = data.relu()
    turned = torch.stack([(a**2 - 0.01).sqrt(), torch.full_like(a, 0.1)])
    y = torch.stack([parts[:, 0] - parts[:, 1], parts.sum(1)], 1)
    run = topology.descend(topology.data_loss(data, y), W, turned, lr=0.1, steps=800, record=800)
    assert float(run.loss[-1]) < 1e-6 and (run.balances < -0.3).all()
    assert (run.a[-1, 0].sign() != run.a[0, 0].sign()).any()

"""Balances: what gradient flow conserves, the exact identity of gradient descent, and what breaks it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from deeplimits import topology
from tests.support import no_implicit_device

F64 = torch.float64


def rng(seed: int) -> torch.Generator:
    return torch.Generator(device="cpu").manual_seed(seed)


def problem(seed: int = 0, hidden: int = 4, dim_in: int = 3, dim_out: int = 2, bias: bool = True, activation: str = "relu", loss: str = "squared"):
    """Twenty samples and a random network."""
    g = rng(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=F64, device="cpu")
    y = draw(20, dim_out)
    value = topology.data_loss(draw(20, dim_in), y.sign() if loss == "logistic" else y, activation, loss)
    return value, draw(hidden, dim_in) / dim_in**0.5, draw(dim_out, hidden) / 2, draw(hidden) / 2 if bias else None


def test_balance_of_exercise_1_and_shapes():
    W, a = torch.tensor([[3.0, 4.0]], dtype=F64), torch.tensor([-2.0], dtype=F64)
    assert topology.balance(W, a).tolist() == [21.0]
    assert topology.balance(W, a.unsqueeze(0)).tolist() == [21.0]
    assert topology.balance(W, torch.tensor([[-2.0], [1.0]], dtype=F64), torch.tensor([2.0], dtype=F64)).tolist() == [24.0]
    W, a = torch.randn(5, 7, 4, 2, generator=rng(1), device="cpu"), torch.randn(5, 7, 3, 4, generator=rng(2), device="cpu")
    c = topology.balance(W, a)
    assert c.shape == (5, 7, 4)
    assert torch.allclose(c[3, 2, 1], W[3, 2, 1].square().sum() - a[3, 2, :, 1].square().sum())


@pytest.mark.statement("prop-balance-conserved")
@pytest.mark.parametrize(("activation", "loss"), [("relu", "squared"), ("leaky_relu", "quartic"), ("identity", "logistic")])
def test_the_flow_conserves_the_balance_and_a_small_step_shrinks_the_error(activation, loss):
    """A smooth stretch of the Runge-Kutta flow: the error of the integrator, and nothing else."""
    value, W, a, b = problem(3, activation=activation, loss=loss)
    drift = [topology.descend(value, W, a, b, lr=h, steps=round(1 / h), method="flow", record=1000).drift for h in (0.02, 0.01)]
    assert drift[1] < 2e-5 and drift[1] < drift[0]


@pytest.mark.statement("prop-balance-conserved")
def test_the_gradient_is_orthogonal_to_the_rescaling_orbit():
    value, W, a, b = problem(4)
    leaves = [x.clone().requires_grad_(True) for x in (W, a, b)]
    gW, ga, gb = torch.autograd.grad(value(*leaves), leaves)
    assert torch.allclose((gW * W).sum(1) + gb * b, (ga * a).sum(0), rtol=1e-12, atol=1e-14)


def test_tanh_is_not_homogeneous_and_conserves_nothing():
    value, W, a, b = problem(3, activation="tanh")
    assert topology.descend(value, W, a, b, lr=0.02, steps=50, method="flow").drift > 1e-2


@pytest.mark.statement("prop-gradient-descent-drift")
@pytest.mark.parametrize("loss", ["squared", "logistic", "quartic"])
def test_the_identity_of_one_step_is_exact(loss):
    value, W, a, b = problem(5, loss=loss)
    run = topology.descend(value, W, a, b, lr=0.02, steps=100)
    assert (run.balances - run.predicted).abs().max() < 1e-12
    assert run.drift > 1e-4


@pytest.mark.statement("prop-gradient-descent-drift")
def test_halving_the_learning_rate_halves_the_drift():
    value, W, a, b = problem(0)
    drift = [topology.descend(value, W, a, b, lr=lr, steps=round(2 / lr), record=10_000).drift for lr in (0.01, 0.005, 0.0025)]
    assert drift[0] / drift[1] == pytest.approx(2, abs=0.1)
    assert drift[1] / drift[2] == pytest.approx(2, abs=0.1)


@pytest.mark.statement("prop-gradient-descent-drift")
def test_the_sum_of_drifts_is_bounded_by_the_fall_of_the_loss():
    value, W, a, b = problem(0)
    lr = 0.02
    run = topology.descend(value, W, a, b, lr=lr, steps=200)
    assert (run.balances[-1] - run.balances[0]).abs().sum() <= 2 * lr * (run.loss[0] - run.loss[-1])


@pytest.mark.statement("prop-gradient-descent-drift")
def test_minibatches_obey_the_same_identity():
    g = rng(6)
    X, y = torch.randn(40, 3, generator=g, dtype=F64, device="cpu"), torch.randn(40, generator=g, dtype=F64, device="cpu")
    W, a = torch.randn(4, 3, generator=g, dtype=F64, device="cpu"), torch.randn(4, generator=g, dtype=F64, device="cpu")
    batch = lambda step: topology.data_loss(X[step % 10 :: 10], y[step % 10 :: 10])
    drift = []
    for lr in (0.01, 0.005, 0.0025):
        run = topology.descend(batch, W, a, lr=lr, steps=round(2 / lr), batches=True)
        assert (run.balances - run.predicted).abs().max() < 1e-12
        drift.append(run.drift)
    # no noise term of the order of the square root of the learning rate
    assert drift[0] / drift[1] == pytest.approx(2, abs=0.25) and drift[1] / drift[2] == pytest.approx(2, abs=0.2)


@pytest.mark.statement("prop-what-breaks-balance")
@pytest.mark.parametrize(("decay", "factor"), [(0.1, 0.67032), (0.5, 0.13534)])
def test_weight_decay_shrinks_every_balance_by_the_same_factor(decay, factor):
    value, W, a, b = problem(7)
    run = topology.descend(value, W, a, b, lr=0.005, steps=400, method="flow", weight_decay=decay)
    assert math.exp(-4 * decay) == pytest.approx(factor, abs=5e-6)
    assert torch.allclose(run.balances[-1] / run.balances[0], torch.full_like(b, factor), rtol=1e-3)


@pytest.mark.statement("prop-what-breaks-balance")
def test_heavy_ball_drifts_like_the_learning_rate_and_the_sign_methods_do_not_stop():
    value, W, a, b = problem(0)
    ball = [topology.descend(value, W, a, b, lr=lr, steps=round(0.1 / lr), method="heavy_ball", record=10_000).drift for lr in (0.0005, 0.00025, 0.000125)]
    assert ball[1] / ball[2] == pytest.approx(2, abs=0.15) and ball[0] / ball[1] == pytest.approx(2, abs=0.25)
    for method in ("adam", "sign"):
        drift = [topology.descend(value, W, a, b, lr=lr, steps=round(2 / lr), method=method, record=10_000).drift for lr in (1e-2, 5e-3)]
        assert min(drift) > 0.3 and drift[1] > 0.5 * drift[0], method


@pytest.mark.statement("prop-what-breaks-balance")
def test_the_heavy_ball_equation_obeys_a_law_of_second_order():
    """theta'' + gamma theta' = -grad L implies c'' + gamma c' = 2(|w'|^2 - |a'|^2), by finite differences of a leapfrog run."""
    g, gamma, h = rng(8), 1.0, 1e-3
    X, y = torch.randn(20, 3, generator=g, dtype=F64, device="cpu"), torch.randn(20, generator=g, dtype=F64, device="cpu")
    loss = topology.data_loss(X, y, "identity")  # smooth, so that finite differences converge
    p = [torch.randn(4, 3, generator=g, dtype=F64, device="cpu") / 2, torch.randn(4, generator=g, dtype=F64, device="cpu")]
    v, states = [torch.zeros_like(x) for x in p], []
    for _ in range(400):
        states.append([x.clone() for x in p])
        leaves = [x.clone().requires_grad_(True) for x in p]
        force = torch.autograd.grad(loss(*leaves), leaves)
        v = [((1 - gamma * h / 2) * u - h * f) / (1 + gamma * h / 2) for u, f in zip(v, force, strict=True)]
        p = [x + h * u for x, u in zip(p, v, strict=True)]
    W, a = (torch.stack([s[k] for s in states]) for k in (0, 1))
    c = topology.balance(W, a)
    central = lambda x: (x[2:] - x[:-2]) / (2 * h)
    left = (c[2:] - 2 * c[1:-1] + c[:-2]) / h**2 + gamma * central(c)
    right = 2 * (central(W).square().sum(-1) - central(a).square())
    assert (left - right).abs()[5:].max() < 1e-4 * right.abs().max() and (c[-1] - c[0]).abs().max() > 1e-2


@pytest.mark.statement("prop-what-breaks-balance")
def test_different_rates_per_layer_conserve_a_weighted_balance():
    """Flow with rates r_w, r_a: scale the parameters, theta = sqrt(r) phi, and run the plain flow in phi."""
    value, W, a, _ = problem(9, bias=False)
    rw, ra = 3.0, 0.5
    run = topology.descend(lambda w, v, b: value(rw**0.5 * w, ra**0.5 * v, b), W / rw**0.5, a / ra**0.5, lr=0.005, steps=200, method="flow")
    w2, a2 = (rw * run.W.square()).sum(-1), (ra * run.a.square()).sum(-2)
    weighted = w2 / rw - a2 / ra
    assert (weighted[-1] - weighted[0]).abs().max() < 1e-4 < 1e-2 < ((w2 - a2)[-1] - (w2 - a2)[0]).abs().max()


# --- frozen signs ----------------------------------------------------------------------------------------------------


@pytest.mark.statement("prop-frozen-sign")
def test_no_step_flips_the_sign_of_a_neuron_with_negative_balance_while_the_rate_is_small():
    g, n = rng(10), 20_000
    w, u = (torch.randn(n, 3, generator=g, dtype=F64, device="cpu") for _ in range(2))
    room = torch.rand(n, generator=g, dtype=F64, device="cpu")
    a = (w.norm(dim=1) * (1 + room)) * torch.where(room > 0.5, 1.0, -1.0)  # |a| > |w|
    lr = torch.rand(n, generator=g, dtype=F64, device="cpu") / u.norm(dim=1)
    new_w, new_a = w - (lr * a).unsqueeze(1) * u, a - lr * (w * u).sum(1)
    assert (new_a.sign() == a.sign()).all()
    before, after = w.square().sum(1) - a.square(), new_w.square().sum(1) - new_a.square()
    assert (after >= before).all()
    s = (w * u).sum(1) / u.norm(dim=1)
    assert torch.allclose(after - before, (lr * u.norm(dim=1)) ** 2 * (a.square() - s.square()), atol=1e-10)


@pytest.mark.statement("prop-frozen-sign")
def test_training_keeps_frozen_signs_and_frees_the_others():
    flips = {-0.3: 0, 0.3: 0}
    for seed in range(4):
        g = rng(seed)
        X = torch.randn(30, 2, generator=g, dtype=F64, device="cpu")
        W, a = torch.randn(3, 2, generator=g, dtype=F64, device="cpu"), torch.randn(3, generator=g, dtype=F64, device="cpu")
        loss = topology.data_loss(X, -a.sign().sum() * X[:, 0].relu() - a.sign().sum() * X[:, 1].relu())
        for c in flips:
            start = topology.rescale(W / 4, a / 4, c)
            end = topology.descend(loss, start.W, start.a, lr=0.04, steps=200, record=200)
            flips[c] += int((end.a[-1].sign() != end.a[0].sign()).sum())
    assert flips[-0.3] == 0 and flips[0.3] > 0


def test_exercises_5_and_7():
    w, u = torch.tensor([[1.0, 0.0]], dtype=F64), torch.tensor([[0.3, 0.4]], dtype=F64)
    a = torch.tensor([0.5], dtype=F64)
    assert float(topology.balance_change(a.unsqueeze(1) * u, (w * u).sum(1), 0.1)) == pytest.approx(-2.75e-4, rel=1e-12)
    step = lambda lr: (0.5 - lr * 2.0, 1 - lr * 1.0)
    for lr, c in ((0.49, -0.0297), (0.51, 0.0303)):
        x, y = step(lr)
        assert x**2 - y**2 == pytest.approx(c, abs=1e-9)
    assert step(0.99)[1] > 0 > step(1.01)[1]


# --- deep networks ---------------------------------------------------------------------------------------------------


def deep_run(linear: bool, lr: float) -> list[torch.Tensor]:
    """Widths 3-5-4-2 to time 1; balance matrices at the start and at the end."""
    g = rng(14)
    sizes = (3, 5, 4, 2)
    weights = [torch.randn(m, n, generator=g, dtype=F64, device="cpu") / n**0.5 for n, m in pairwise(sizes)]
    X, y = torch.randn(20, 3, generator=g, dtype=F64, device="cpu"), torch.randn(20, 2, generator=g, dtype=F64, device="cpu")
    act = (lambda z: z) if linear else torch.relu
    start = topology.layer_balances(weights, linear=True)
    for _ in range(round(1 / lr)):
        leaves = [w.requires_grad_(True) for w in weights]
        loss = 0.5 * (act(act(X @ leaves[0].mT) @ leaves[1].mT) @ leaves[2].mT - y).square().sum(1).mean()
        weights = [(w - lr * d).detach() for w, d in zip(leaves, torch.autograd.grad(loss, leaves), strict=True)]
    return [after - before for before, after in zip(start, topology.layer_balances(weights, linear=True), strict=True)]


@pytest.mark.statement("prop-deep-balance")
def test_linear_networks_keep_the_matrix_and_relu_networks_its_diagonal():
    coarse, fine = deep_run(True, 0.01), deep_run(True, 0.005)
    for c, f in zip(coarse, fine, strict=True):
        assert float(c.abs().max() / f.abs().max()) == pytest.approx(2, abs=0.1)
    coarse, fine = deep_run(False, 0.01), deep_run(False, 0.005)
    for c, f in zip(coarse, fine, strict=True):
        assert float(c.diagonal().abs().max() / f.diagonal().abs().max()) == pytest.approx(2, abs=0.15)
        off = lambda x: float((x - torch.diag(x.diagonal())).abs().max())
        assert off(f) > 20 * float(f.diagonal().abs().max()) and off(c) == pytest.approx(off(f), rel=0.1)


@pytest.mark.statement("prop-deep-balance")
def test_the_diagonal_is_the_balance_and_its_trace_the_difference_of_norms():
    g = rng(15)
    weights = [torch.randn(5, 3, generator=g, device="cpu"), torch.randn(4, 5, generator=g, device="cpu"), torch.randn(2, 4, generator=g, device="cpu")]
    biases = [torch.randn(5, generator=g, device="cpu"), None]
    matrices, diagonals = topology.layer_balances(weights, biases, linear=True), topology.layer_balances(weights, biases)
    for l, (m, d) in enumerate(zip(matrices, diagonals, strict=True)):
        assert torch.allclose(m.diagonal(), d, atol=1e-5)
        extra = 0 if biases[l] is None else biases[l].square().sum()
        assert torch.allclose(d.sum(), weights[l].square().sum() + extra - weights[l + 1].square().sum(), atol=1e-4)


@pytest.mark.statement("prop-number-of-laws")
@pytest.mark.parametrize(("shape", "laws"), [((3, 2, 2), 6), ((4, 2, 2), 10), ((5, 2, 2), 14), ((6, 3, 1), 18), ((5, 4, 3), 15)])
def test_number_of_laws(shape, laws):
    assert topology.independent_laws(*shape, linear=True) == laws == topology.law_rank(*shape, linear=True)
    assert topology.independent_laws(*shape) == shape[0] == topology.law_rank(*shape)
    n = (shape[0], shape[1] - 1, shape[2])
    assert topology.independent_laws(*n, bias=True, linear=True) == laws == topology.law_rank(*n, bias=True, linear=True)


# --- arguments -------------------------------------------------------------------------------------------------------


def test_errors_name_the_argument():
    W, a = torch.ones(3, 2, device="cpu"), torch.ones(3, device="cpu")
    for message, call in {
        "W must be a torch tensor": lambda: topology.balance([[1.0]], a),
        "W must have shape": lambda: topology.balance(a, a),
        r"a must have shape \(..., 3\)": lambda: topology.balance(W, torch.ones(2, device="cpu")),
        "b must have shape": lambda: topology.balance(W, a, torch.ones(2, device="cpu")),
        "a must be finite": lambda: topology.balance(W, a / 0),
        "lr must be positive": lambda: topology.balance_change(W, a, 0.0),
        "at least two layers": lambda: topology.layer_balances([W]),
        r"weights\[1\] must take 3 inputs": lambda: topology.layer_balances([W, W]),
        "biases must hold one entry": lambda: topology.layer_balances([W, W.T], []),
        "method must be one of": lambda: topology.descend(None, W, a, lr=0.1, steps=1, method="sgd"),
        r"momentum must lie in \[0, 1\)": lambda: topology.descend(None, W, a, lr=0.1, steps=1, momentum=1.0),
        "activation must be one of": lambda: topology.data_loss(W, a, "gelu"),
        "X must have shape": lambda: topology.data_loss(W, torch.ones(2, device="cpu")),
        "diverge at step": lambda: topology.descend(topology.data_loss(10 * W, 5 * a, "identity"), W, a, lr=3.0, steps=50),
        "hidden must be": lambda: topology.independent_laws(0, 1, 1),
    }.items():
        with pytest.raises((ValueError, TypeError), match=message):
            call()


def test_every_tensor_names_its_device():
    value, W, a, b = problem(16)
    with no_implicit_device():
        topology.descend(value, W, a, b, lr=0.1, steps=3, method="adam")
        topology.descend(value, W, a, b, lr=0.1, steps=3)
        topology.rescale(W, a, 0.5, b)
        topology.law_rank(2, 2, 1)

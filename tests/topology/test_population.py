"""The population loss, its gradient and training on it: Monte Carlo, autograd, reference values, exact plateaus."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from deeplimits import topology
from tests.support import assert_within_errors, no_implicit_device

START = topology.reference_start()


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0, -1.0])
def test_loss_by_monte_carlo(slope):
    teacher = topology.teacher("B", 4)
    w, a, x = draw(0, 3, 4), draw(1, 3), draw(2, 200_000, 4)

    def network(weight, output):
        return torch.nn.functional.leaky_relu(x @ weight.T, slope) @ output

    half = (network(w, a) - network(teacher.weight, teacher.output)) ** 2 / 2
    found = topology.population_loss(w, a, teacher, slope=slope)
    assert_within_errors(half.mean(), half.std() / half.numel() ** 0.5, float(found))


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0, -1.0])
def test_gradient_by_autograd(slope):
    w, a = draw(3, 5, 3, 4).requires_grad_(), draw(4, 5, 3).requires_grad_()
    loss = topology.population_loss(w, a, "B", slope=slope)
    assert loss.shape == (5,)
    by_autograd = torch.autograd.grad(loss.sum(), (w, a))
    by_formula = topology.population_gradient(w.detach(), a.detach(), "B", slope=slope)
    for one, other in zip(by_formula, by_autograd, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_gradient_of_aligned_neurons_by_differences():
    # Parallel and opposed neurons are where arc cosines are delicate.
    w = torch.tensor([[1.0, 0.5], [2.0, 1.0], [-1.0, -0.5]], dtype=torch.float64)
    a = torch.tensor([0.7, -0.4, 0.9], dtype=torch.float64)
    by_w, by_a = topology.population_gradient(w, a, "T1")
    for k in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[k] = 1e-6
        slope = (topology.population_loss(w, a + step) - topology.population_loss(w, a - step)) / 2e-6
        assert float(slope) == pytest.approx(float(by_a[k]), abs=1e-9)
        for i in range(2):
            move = torch.zeros(3, 2, dtype=torch.float64)
            move[k, i] = 1e-6
            slope = (topology.population_loss(w + move, a) - topology.population_loss(w - move, a)) / 2e-6
            assert float(slope) == pytest.approx(float(by_w[k, i]), abs=1e-9)


def test_neurons_of_zeros_take_no_part():
    w, a = START
    padded = torch.cat([w, torch.zeros(3, 2, dtype=w.dtype)]), torch.cat([a, torch.zeros(3, dtype=a.dtype)])
    assert float(topology.population_loss(*padded)) == pytest.approx(float(topology.population_loss(w, a)), rel=1e-14)
    narrow = [x.float().requires_grad_() for x in padded]
    topology.population_loss(*narrow).backward()  # float32 has a smaller range
    assert torch.isfinite(narrow[0].grad).all() and torch.isfinite(topology.forces(*(x.detach() for x in narrow))).all()
    ds = topology.train_population(*padded, steps=300, record=[300])
    alone = topology.train_population(w, a, steps=300, record=[300])
    assert (ds.weight.isel(neuron=slice(2, None)) == 0).all() and np.isfinite(ds.loss).all()
    np.testing.assert_allclose(ds.loss, alone.loss, rtol=1e-12)


# Section 6 of the sheet: loss at t = 10, 20, 50, 100, 500 and the output weights at the end; learning rate 0.1.
TABLE = {
    "obstructed": ((-0.66, -0.47), (0.188865, 0.188865, 0.188865, 0.188865, 0.188865), (1.0579, 0.6784)),
    "cured": ((0.5, 0.5), (0.001974, 0.000256, 0.000001, 0.0, 0.0), (0.8812, -0.8898)),
    "one cured": ((-0.66, 0.5), (0.002467, 0.000206, 0.0, 0.0, 0.0), (1.1709, -0.8894)),
    "balanced": ((0.0, 0.0), (0.188898, 0.188867, 0.060671, 0.0, 0.0), (0.9958, -0.9999)),
}


@pytest.mark.statement("thm-obstructed-plateau", "prop-cure")
def test_table_of_the_reference_problem():
    w, a = topology.twins([row[0] for row in TABLE.values()])
    ds = topology.train_population(w, a, "T1", lr=0.1, steps=5000, record=[0, 100, 200, 500, 1000, 5000])
    assert ds.loss.values[:, 0] == pytest.approx(0.550809, abs=5e-7)  # one function
    for k, (_, losses, outputs) in enumerate(TABLE.values()):
        assert ds.loss.values[k, 1:] == pytest.approx(losses, abs=6e-7)
        assert ds.output.values[k, -1] == pytest.approx(outputs, abs=6e-5)
    assert (ds.flip_step.values >= 0).tolist() == [False, True, True, True]
    assert float(topology.population_loss(w[0], 0 * a[0])) == pytest.approx(0.5 - 0.5 / math.pi, rel=1e-12)


def test_table_at_a_tenth_of_the_learning_rate():
    w, a = topology.twins([row[0] for row in TABLE.values()])
    ds = topology.train_population(w, a, "T1", lr=0.01, steps=2000, record=[1000, 2000])
    assert ds.time.values[0].tolist() == pytest.approx([10.0, 20.0])
    assert ds.loss.values[[0, 1, 3]] == pytest.approx(np.array([[0.188865] * 2, [0.001947, 0.000257], [0.188901, 0.188869]]), abs=6e-7)


@pytest.mark.statement("thm-obstructed-plateau")
def test_plateau_in_closed_form_and_by_many_neurons():
    best = topology.obstructed_plateau()
    assert best.loss == pytest.approx(0.18886481, abs=5e-9) and math.degrees(best.angle) == pytest.approx(23.094, abs=5e-4)
    w = torch.tensor([[math.cos(best.angle), -math.sin(best.angle)]], dtype=torch.float64)
    a = torch.tensor([best.size], dtype=torch.float64)
    assert float(topology.population_loss(w, a)) == pytest.approx(best.loss, rel=1e-12)
    # No other neuron with a positive weight lowers the loss to first order: the projection to the cone.
    angle = torch.linspace(-math.pi, math.pi, 20_001, dtype=torch.float64)
    probe = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
    gain = topology.gaussian_kernel(probe, topology.teacher("T1").weight) @ topology.teacher("T1").output - topology.gaussian_kernel(probe, w) @ a
    assert float(gain.max()) < 1e-8
    # Eight free positive neurons, by non-negative least squares over 400 directions, do no better.
    from scipy.optimize import nnls

    kernel = topology.gaussian_kernel(probe[::50], probe[::50]).numpy() + 1e-12 * np.eye(401)
    root = np.linalg.cholesky(kernel)
    wanted = (topology.gaussian_kernel(probe[::50], topology.teacher("T1").weight) @ topology.teacher("T1").output).numpy()
    mix, _ = nnls(root.T, np.linalg.solve(root, wanted))
    lowest = 0.5 - 0.5 / math.pi - wanted @ mix + mix @ kernel @ mix / 2
    assert best.loss - 1e-9 < lowest < best.loss + 1e-4


@pytest.mark.statement("thm-obstructed-plateau")
def test_the_numbers_of_the_proof():
    from scipy.integrate import quad
    from scipy.optimize import brentq

    best = topology.obstructed_plateau()

    def density(s, side):
        phi = -best.angle + side * s
        return (abs(math.sin(phi)) - abs(math.cos(phi)) - best.size * abs(math.sin(s))) / math.pi

    def rising(s, side):
        return quad(lambda r: density(r, side) * math.sin(r), 0, s, limit=400)[0]

    def excess(s, side):
        return quad(lambda r: density(r, side) * math.sin(s - r), 0, s, limit=400)[0]

    # On both sides the density is negative, positive, negative; its zeros are those that the proof states.
    grid = np.linspace(1e-3, math.pi - 1e-3, 3000)
    for side, stated in ((1, (1.7606, 2.3607)), (-1, (0.7809, 1.3810))):
        values = np.array([density(s, side) for s in grid])
        at = np.flatnonzero(np.diff(np.sign(values)))
        assert values[0] < 0 and len(at) == 2
        assert [brentq(density, grid[i], grid[i + 1], args=(side,)) for i in at] == pytest.approx(stated, abs=6e-5)
    # To the right the quotient D / sin only falls; to the left it has one inner maximum, below zero.
    assert max(rising(s, 1) for s in np.linspace(0.05, math.pi - 0.01, 80)) < 0
    assert rising(2.3607, 1) == pytest.approx(-0.248, abs=6e-4)
    assert brentq(rising, 1.0, 1.4, args=(-1,)) == pytest.approx(1.2027, abs=6e-5)
    top = brentq(rising, 1.4, 2.5, args=(-1,))
    assert top == pytest.approx(1.5553, abs=1e-4) and excess(top, -1) == pytest.approx(-0.0540, abs=1e-4)


@pytest.mark.statement("thm-obstructed-plateau")
def test_gradient_flow_stops_at_the_plateau():
    w, a = topology.twins([[-0.66, -0.47], [0.5, 0.5], [0.0, 0.0]])
    ds = topology.train_population(w, a, "T1", lr=0.05, steps=2000, method="rk4", record=[0, 2000])
    assert ds.loss.values[[0, 2], 1] == pytest.approx(topology.obstructed_plateau().loss, abs=2e-9)
    assert ds.loss.values[1, 1] < 1e-9
    assert ds.output.values[2, 1, 1] == pytest.approx(1.1e-4, abs=1e-5)  # balanced: falls to zero, stays positive
    assert np.abs(ds.balance.diff("step")).max() < 2e-6


@pytest.mark.statement("thm-obstructed-plateau")
def test_second_teacher():
    w, a = topology.twins([[-0.66, -0.47], [0.5, 0.5], [-0.66, 0.5]])
    ds = topology.train_population(w, a, "T2", lr=0.1, steps=2000, record=[0, 100, 200, 500, 2000])
    assert ds.loss.values[:, 0] == pytest.approx(0.696908, abs=5e-7)
    assert (ds.loss.values[0] > 0.25).all() and ds.loss.values[0, -1] == pytest.approx(0.25, abs=5e-4)
    assert ds.loss.values[1, 2:4] == pytest.approx([1.6e-5, 0.0], abs=6e-7)
    assert ds.loss.values[2, 1:4] == pytest.approx([0.2345, 0.0476, 7.5e-5], abs=6e-5)


@pytest.mark.statement("prop-no-jump-certificate")
def test_certificate_on_random_neurons():
    assert topology.no_jump_rate(0.550809) == pytest.approx(0.953, abs=5e-4)
    w, a = draw(5, 400, 3, 4), 3 * draw(6, 400, 3)
    target = topology.teacher("B", 4)
    loss = topology.population_loss(w, a, target)
    u = topology.forces(w, a, target)
    size = u.norm(dim=-1)
    assert (size <= torch.sqrt(loss)[:, None] * (1 + 1e-12)).all()  # symmetric inputs; the general bound is weaker
    c = (w**2).sum(-1) - a**2
    rate = (0.999 / size.amax(-1))[:, None]
    after_w, after_a = w - rate[..., None] * a[..., None] * u, a - rate * (w * u).sum(-1)
    frozen = c <= 0
    assert frozen.sum() > 300
    assert (after_a * a > 0)[frozen].all()
    assert (((after_w**2).sum(-1) - after_a**2) >= c - 1e-12)[frozen].all()
    exact = c + rate**2 * (a**2 * size**2 - (w * u).sum(-1) ** 2)
    torch.testing.assert_close((after_w**2).sum(-1) - after_a**2, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("method", "lr", "options", "loss", "flip"), [
    ("gd", 0.1, {"weight_decay": 1e-3}, 0.188866, -1),
    ("gd", 0.1, {"weight_decay": 1e-2}, 0.188965, -1),
    ("adam", 0.01, {}, 0.188865, -1),
    ("heavy_ball", 0.01, {}, 0.188865, -1),
    ("heavy_ball", 0.1, {}, 0.182067, 13),
    ("heavy_ball", 0.5, {}, 0.182067, 4),
])  # fmt: skip
def test_other_optimizers(method, lr, options, loss, flip):
    ds = topology.train_population(*START, lr=lr, steps=2000, method=method, record=[2000], **options)
    assert float(ds.loss[0, 0]) == pytest.approx(loss, abs=1e-6) and ds.flip_step.item() == flip


def test_weight_decay_of_the_balance():
    ds = topology.train_population(*START, lr=0.05, steps=400, method="rk4", weight_decay=0.1, record=[0, 400])
    np.testing.assert_allclose(ds.balance[0, 1], ds.balance[0, 0] * math.exp(-2 * 0.1 * 20), rtol=1e-5)


def test_leaky_units_are_obstructed_and_linear_units_are_not():
    w, a = topology.twins([[-0.66, -0.47]])
    ends = [float(topology.train_population(w, a, lr=0.1, steps=1500, slope=s, record=[1500]).loss[0, 0]) for s in (0.0, 0.5, 1.0)]
    assert ends[0] > ends[1] > 0.02 and ends[2] < 1e-9


def test_batches_agree_with_single_runs_and_carry_their_history():
    w, a = topology.twins([-0.3, 0.2, 0.4])
    rates = [0.1, 0.05, 0.2]
    ds = topology.train_population(w, a, lr=rates, steps=150)
    for k in range(3):
        alone = topology.train_population(w[k], a[k], lr=rates[k], steps=150)
        np.testing.assert_allclose(ds.loss[k], alone.loss[0], rtol=1e-10)
    told = json.loads(ds.attrs["provenance"])
    assert told["arguments"]["lr"] == rates and told["versions"]["torch"] == torch.__version__
    assert ds.loss.attrs["units"] == "1"


def test_no_implicit_device():
    with no_implicit_device():
        topology.train_population(*topology.twins([0.5]), steps=3)
        topology.frozen_sign_study((2,), seeds=2, time=1.0)


@pytest.mark.parametrize(("call", "error"), [
    (lambda: topology.train_population(*START, lr=0.0), "lr"),
    (lambda: topology.train_population(*START, lr=[0.1, -1.0]), "lr"),
    (lambda: topology.train_population(*START, lr=3.0, steps=200), r"lr must keep the loss bounded.*1/sqrt\(2 L\) = 0.953"),
    (lambda: topology.train_population(*START, method="newton"), "method"),
    (lambda: topology.train_population(*START, steps=10, record=[11]), "record"),
    (lambda: topology.train_population(*START, "B"[:0]), "teacher must be one of"),
    (lambda: topology.train_population(START[0], START[1][:1]), "output"),
    (lambda: topology.train_population(*START, method="heavy_ball", momentum=1.0), "momentum"),
    (lambda: topology.population_loss(START[0][:0], START[1][:0]), "neuron"),
    (lambda: topology.population_loss(*START, topology.teacher("B", 4)), "teacher"),
    (lambda: topology.teacher("B", 3), "dim_in"),
    (lambda: topology.teacher("T3"), "name"),
    (lambda: topology.no_jump_rate(-1.0), "loss"),
])  # fmt: skip
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()

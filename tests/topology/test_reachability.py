"""Rescaling, and which targets a component can express."""

from __future__ import annotations

from itertools import permutations, product

import pytest
import torch

from deeplimits import topology

F64 = torch.float64


def network(seed: int, hidden: int, dim_in: int = 3, dim_out: int | None = None):
    g = torch.Generator(device="cpu").manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=F64, device="cpu")
    return draw(hidden, dim_in), draw(hidden) if dim_out is None else draw(dim_out, hidden), draw(hidden)


def outputs(W, a, b, x):
    hidden = torch.relu(x @ W.mT + (0 if b is None else b))
    return hidden @ (a.unsqueeze(-1) if a.ndim == 1 else a.mT)


@pytest.mark.statement("lem-rescaling-orbit")
@pytest.mark.parametrize("dim_out", [None, 3])
@pytest.mark.parametrize("target", [-2.0, -1e-9, 0.0, 0.5, 40.0])
def test_rescaling_meets_the_balance_and_keeps_the_function(dim_out, target):
    W, a, b = network(1, 6, dim_out=dim_out)
    moved = topology.rescale(W, a, target, b)
    assert torch.allclose(topology.balance(moved.W, moved.a, moved.b), torch.full_like(b, target), atol=1e-12)
    x = torch.randn(50, 3, generator=torch.Generator(device="cpu").manual_seed(2), dtype=F64, device="cpu")
    assert torch.allclose(outputs(W, a, b, x), outputs(moved.W, moved.a, moved.b, x), atol=1e-12)
    assert (moved.alpha > 0).all() and moved.a.shape == a.shape
    # the only factor: h(alpha) = alpha^2 |w|^2 - |a|^2 / alpha^2 increases
    out = a.unsqueeze(0) if a.ndim == 1 else a
    h = lambda t: t**2 * (W.square().sum(1) + b.square()) - out.square().sum(0) / t**2
    assert (h(0.9 * moved.alpha) < target).all() and (h(1.1 * moved.alpha) > target).all()


def test_exercise_1_and_the_balanced_point_is_the_smallest():
    W, a = torch.tensor([[3.0, 4.0]], dtype=F64), torch.tensor([-2.0], dtype=F64)
    assert float(topology.rescale(W, a, 0.0).alpha) == pytest.approx(0.632456, abs=5e-7)
    assert float(topology.rescale(W, a, -1.0).alpha) ** 2 == pytest.approx((-1 + 401**0.5) / 50, rel=1e-12)
    size = lambda c: float((moved := topology.rescale(W, a, c)).W.square().sum() + moved.a.square().sum())
    assert size(0.0) == pytest.approx(2 * 5 * 2) and size(0.1) > size(0.0) < size(-0.1)


def test_extreme_targets_lose_no_digits():
    W, a = torch.tensor([[1e-3, 0.0]], dtype=F64), torch.tensor([2.0], dtype=F64)
    for c in (-1e12, 1e12, 1e-12):
        moved = topology.rescale(W, a, c)
        assert float(moved.alpha**2) > 0
        assert float(moved.W.norm() * moved.a.abs()) == pytest.approx(2e-3, rel=1e-12)
        assert float(topology.balance(moved.W, moved.a)) == pytest.approx(c, rel=1e-9, abs=1e-14)
    batch = topology.rescale(*network(4, 5)[:2], torch.linspace(-1, 1, 5, dtype=F64, device="cpu"))
    assert torch.allclose(topology.balance(batch.W, batch.a), torch.linspace(-1, 1, 5, dtype=F64, device="cpu"), atol=1e-12)


def test_neurons_without_one_kind_of_weights():
    zero, one = torch.zeros(1, 2, dtype=F64, device="cpu"), torch.ones(1, dtype=F64, device="cpu")
    assert float(topology.rescale(zero, 2 * one, -1.0).a) == pytest.approx(1.0)
    assert float(topology.rescale(zero + 3, 0 * one, 2.0).W.square().sum()) == pytest.approx(2.0)
    for W, a, c, message in ((zero, one, 0.5, "neuron 0 has no incoming weights and can reach negative balances only"),
                             (zero + 1, 0 * one, -1.0, "no outgoing weights"), (zero, 0 * one, 1.0, "a zero neuron")):
        with pytest.raises(ValueError, match=message):
            topology.rescale(W, a, c)


# --- reachability ----------------------------------------------------------------------------------------------------


def brute_force(balances, signs, target) -> bool:
    """Try every injection of the target's units into the neurons."""
    fits = lambda k, s: balances[k] > 0 or signs[k] == s
    return any(all(fits(k, s) for k, s in zip(slots, target, strict=True)) for slots in permutations(range(len(balances)), len(target)))


@pytest.mark.statement("prop-reachability")
@pytest.mark.parametrize("hidden", [1, 2, 3, 4])
def test_criterion_against_every_assignment(hidden):
    for balances in product((-1.0, 0.0, 1.0), repeat=hidden):
        for signs in product((-1, 1), repeat=hidden):
            for units in range(1, hidden + 1):
                for positive in range(units + 1):
                    target = [1] * positive + [-1] * (units - positive)
                    assert bool(topology.reachable(balances, signs, target)) == brute_force(balances, signs, target)


@pytest.mark.statement("prop-reachability")
def test_a_reachable_target_is_built_on_the_component():
    W, a, b = network(5, 3, dim_in=2)
    a = torch.tensor([1.3, -0.4, -0.7], dtype=F64)
    x = torch.randn(60, 2, generator=torch.Generator(device="cpu").manual_seed(6), dtype=F64, device="cpu")
    built = 0
    for balances in ([-1.0, -0.5, 0.3, 0.6], [-1.0, -0.2, -0.3, -0.4], [1.0, 2.0, 0.5, 0.1], [-1.0, -1.0, -1.0, 0.4]):
        for signs in product((-1, 1), repeat=4):
            if not topology.reachable(balances, signs, a):
                with pytest.raises(ValueError, match="target is not reachable"):
                    topology.representative(W, a, balances, signs, b)
                continue
            found = topology.representative(W, a, balances, signs, b)
            built += 1
            assert torch.allclose(topology.balance(found.W, found.a, found.b), torch.tensor(balances, dtype=F64), atol=1e-12)
            assert torch.allclose(outputs(found.W, found.a, found.b, x), outputs(W, a, b, x), atol=1e-12)
            frozen = torch.tensor(balances) < 0
            assert (found.a.sign()[frozen] == torch.tensor(signs, dtype=F64)[frozen]).all()
    assert built > 20


@pytest.mark.statement("prop-reachability")
def test_frozen_positive_neurons_keep_the_function_convex():
    """The easy half of necessity: p frozen positive neurons alone sum to a convex function, and a concave kink is not."""
    W, _, b = network(7, 5, dim_in=1)
    x = torch.linspace(-3, 3, 400, dtype=F64, device="cpu").unsqueeze(1)
    second = lambda a: outputs(W, a, b, x)[:, 0].diff().diff()
    assert second(torch.rand(5, dtype=F64, device="cpu", generator=torch.Generator(device="cpu").manual_seed(8))).min() > -1e-12
    assert second(torch.tensor([1.0, 1.0, -1.0, 1.0, 1.0], dtype=F64)).min() < -1e-3


@pytest.mark.statement("prop-reachability")
def test_probability_that_coins_allow_the_target():
    for m, value in ((2, 0.5), (4, 0.375), (6, 0.3125), (8, 0.2734), (10, 0.2461)):
        assert topology.feasible_probability(m, m, m // 2, m // 2) == pytest.approx(value, abs=5e-5)
    assert topology.feasible_probability(5, 6, 3, 3) == 0.625
    for m in range(2, 11):
        assert topology.feasible_probability(m, m, 1, 1) == pytest.approx(1 - 2.0 ** (1 - m), rel=1e-12)
        assert all(topology.feasible_probability(j, m, 1, 1) == 1 for j in range(m))
    teacher_b = {4: (1, 1, 1, 0.75, 0.375), 6: (1, 1, 1, 1, 0.875, 0.625, 0.3125)}
    for m, row in teacher_b.items():
        assert tuple(topology.feasible_probability(j, m, m // 2, m // 2) for j in range(m + 1)) == pytest.approx(row)


@pytest.mark.statement("prop-reachability")
def test_probability_against_all_signs():
    for m, j, P, N in ((4, 3, 2, 2), (5, 4, 3, 1), (3, 3, 0, 2), (4, 2, 4, 0), (3, 1, 2, 2)):
        balances = [-1.0] * j + [1.0] * (m - j)
        target = [1] * P + [-1] * N
        share = [bool(topology.reachable(balances, [*s, *[1] * (m - j)], target)) for s in product((-1, 1), repeat=j)]
        assert topology.feasible_probability(j, m, P, N) == pytest.approx(sum(share) / len(share))


def test_errors_name_the_argument():
    for message, call in {
        "signs must belong to one output; got 2 outputs": lambda: topology.reachable([-1.0], torch.ones(2, 1, device="cpu"), [1]),
        "a must belong to one output": lambda: topology.representative(torch.eye(2), torch.ones(2, 2, device="cpu"), [-1.0, 1.0], [1, 1]),
        "signs must hold one entry per balance, 2": lambda: topology.reachable([-1.0, 1.0], [1], [1]),
        "neuron 1 has balance -1 and output weight 0": lambda: topology.reachable([1.0, -1.0], [1, 0], [1]),
        "target must not be zero": lambda: topology.reachable([1.0], [1], [0]),
        "frozen must be at most hidden = 2": lambda: topology.feasible_probability(3, 2, 1, 1),
        "balance must be finite": lambda: topology.rescale(torch.eye(2), torch.ones(2, device="cpu"), float("nan")),
        "balance must be a number or broadcast": lambda: topology.rescale(torch.eye(2), torch.ones(2, device="cpu"), torch.ones(3, device="cpu")),
    }.items():
        with pytest.raises((ValueError, TypeError), match=message):
            call()

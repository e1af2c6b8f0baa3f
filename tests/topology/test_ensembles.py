"""Ensembles of starts: twins, success against frozen signs, learning rates that cross, spurious minima."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeplimits import topology
from deeplimits.topology.ensembles import _feasible
from tests.support import assert_within_errors


@pytest.fixture(scope="module")
def study():
    return topology.frozen_sign_study((2, 3, 4), seeds=40, lr=0.1, time=150.0, seed=5)


def test_twins_compute_one_function():
    w, a = topology.twins([[-0.5, 0.5], [0.3, 0.3], [-2.0, -0.1]])
    assert ((w**2).sum(-1) - a**2).tolist() == pytest.approx(np.array([[-0.5, 0.5], [0.3, 0.3], [-2.0, -0.1]]), abs=1e-13)
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = (torch.relu(x @ w.mT) * a[:, None]).sum(-1)
    torch.testing.assert_close(values, values[:1].expand(3, -1), rtol=1e-12, atol=1e-13)


def test_random_starts_do_not_depend_on_their_number():
    w, a = topology.random_starts(5, seeds=3, dim_in=4, size=2.0)
    assert w.shape == (3, 5, 4) and float((w.norm(dim=-1) * a.abs() - 2 / 5**0.5).abs().max()) < 1e-14
    assert ((w**2).sum(-1) - a**2).abs().max() < 1e-14
    signs = topology.random_starts(4, seeds=4000)[1].sign()
    assert_within_errors(signs.mean(), 1 / 16_000**0.5, 0.0)


@pytest.mark.statement("thm-obstructed-plateau")
def test_no_success_where_the_teacher_is_not_reachable(study):
    apart = ~study.feasible & study.success_rate.notnull()
    assert int(apart.sum()) > 20 and not bool((study.success & apart).any())
    lowest = float(study.loss.where(apart).min())
    assert lowest > topology.obstructed_plateau().loss - 1e-9


def test_success_rates_near_the_reference(study):
    reference = {(2, 0): 0.62, (2, 1): 0.51, (2, 2): 0.40, (3, 0): 0.82, (3, 3): 0.63, (4, 0): 0.91, (4, 2): 0.86, (4, 4): 0.68}
    for (m, j), value in reference.items():
        cell = study.sel(hidden=m, frozen=j)
        assert_within_errors(cell.success_rate, cell.success_rate_se, value, (value * (1 - value) / 100) ** 0.5)
    assert np.isnan(study.success_rate.sel(hidden=2, frozen=3))


def test_feasible_shares_and_their_exact_values(study):
    for m in (2, 3, 4):
        cell = study.sel(hidden=m, frozen=m)
        exact = float(cell.feasible_probability)
        assert exact == pytest.approx(1 - 2.0 ** (1 - m))
        assert_within_errors(cell.feasible_share, (exact * (1 - exact) / 40) ** 0.5, exact)
    assert (study.feasible_share.sel(hidden=4, frozen=[0, 1, 2, 3]) == 1).all()


def test_criterion_for_many_starts_is_that_for_one():
    signs = torch.tensor([[1.0, 1, -1], [1, 1, 1], [-1, -1, -1], [-1, 1, -1]], dtype=torch.float64)
    target = topology.teacher("B", 4)
    found = _feasible(signs, 4, target)
    for row, value in zip(signs, found, strict=True):
        assert bool(topology.reachable([-1.0] * 3 + [1.0], [*row.tolist(), 1.0], target.output)) == value


def test_each_cell_stands_alone_and_padding_changes_nothing():
    batch = topology.frozen_sign_study((2, 4), seeds=4, frozen=(0, 2), time=30.0)
    alone = topology.frozen_sign_study((2,), seeds=4, frozen=(2,), time=30.0)
    np.testing.assert_allclose(batch.loss.sel(hidden=2, frozen=2), alone.loss.sel(hidden=2, frozen=2), rtol=1e-9)
    w, a = topology.random_starts(2, seeds=4)
    moved = topology.rescale(w, a, -0.25)
    ds = topology.train_population(moved.W, moved.a, lr=0.05, steps=600, record=[600])
    unfinished = ~alone.success.values[0, 0]
    np.testing.assert_allclose(alone.loss.values[0, 0][unfinished], ds.loss.values[unfinished, 0], rtol=1e-9)


def test_teacher_with_as_many_kinks_as_neurons():
    ds = topology.frozen_sign_study((4,), seeds=30, teacher="B", frozen=(0, 4), lr=0.1, time=150.0)
    all_frozen = ds.sel(hidden=4, frozen=4)
    assert float(all_frozen.feasible_probability) == 0.375
    assert bool((all_frozen.success <= all_frozen.feasible).all())
    reference = {0: 0.75, 4: 0.35}
    for j, value in reference.items():
        cell = ds.sel(hidden=4, frozen=j)
        assert_within_errors(cell.success_rate, cell.success_rate_se, value, (value * (1 - value) / 40) ** 0.5)


@pytest.mark.statement("prop-no-jump-certificate")
def test_learning_rates_that_cross():
    scan = topology.learning_rate_scan((0.1, 0.5, 1.0, 1.5, 1.8, 2.0, 3.0, 5.0), steps=1500)
    assert scan.crossing.values.tolist() == ["none"] * 4 + ["drift"] * 2 + ["jump"] * 2
    assert scan.largest_force.values[:4] == pytest.approx([0.069, 0.345, 0.691, 1.036], abs=6e-4)
    assert scan.flip_step.values[4:7].tolist() == [3, 1, 0] and scan.flip_force.values[4:6] == pytest.approx([0.167, 0.572], abs=6e-4)
    assert (scan.flip_force.values[6:] > 2).all() and np.isinf(scan.loss_high.values[6:]).all()
    low, high = scan.loss_low.values, scan.loss_high.values
    assert low[:4] == pytest.approx(0.18886481, abs=1e-8) and 0.18582 <= high[4] and low[4] <= 0.18582 + 6e-6  # it oscillates
    assert low[5] <= 0.1888 <= high[5]
    assert scan.balance.isel(run=3, step=-1).values == pytest.approx([0.29, 0.04], abs=6e-3)


def test_all_three_outcomes_occur_without_any_obstruction():
    ds = topology.outcomes(60, steps=3000)
    assert {"fit", "spurious", "plateau"} <= set(ds.end.values.tolist())
    ends = ds.loss.isel(step=-1)
    assert ends.where(ds.end == "spurious").dropna("run").values == pytest.approx(0.182067, abs=1e-4)


@pytest.mark.parametrize(("call", "error"), [
    (lambda: topology.frozen_sign_study((2,), seeds=0), "seeds"),
    (lambda: topology.frozen_sign_study((2,), balance=-1.0), "balance"),
    (lambda: topology.frozen_sign_study((2,), frozen=(3,)), "frozen"),
    (lambda: topology.frozen_sign_study((3,), seeds=2, teacher="B"), "dim_in"),
    (lambda: topology.frozen_sign_study((2,), teacher="T2"), "teacher"),
    (lambda: topology.twins([[0.1, 0.2, 0.3]]), "balances"),
    (lambda: topology.twins([0.1], torch.ones(2, 2)), "together"),
    (lambda: topology.random_starts(2, 3, size=0.0), "size"),
    (lambda: topology.outcomes(4, balance=0.0), "balance"),
    (lambda: topology.learning_rate_scan((-1.0,)), "lr"),
])  # fmt: skip
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()

"""Statements of *Subadditivity and drift* (Part II)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deeplimits import ergodic, metrics
from deeplimits.layers import Fixed, MaxPlus, Positive, Stationary
from tests.support import assert_within_errors

CPU = torch.device("cpu")
CYCLE = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
MATRICES = [[[2.0, 3.0], [1.0, 1.0]], [[1.0, 3.0], [1.0, 3.0]], [[1.0, 1.0], [3.0, 1.0]]]


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, device=CPU)


def matrix_layer(matrix) -> Fixed:
    m = tensor(matrix)
    return Fixed(lambda x: x @ m.mT, m.shape[-1], homogeneous=True)


def slope(layer, metric, x0, depth: int, samples: int, order: str) -> tuple[float, float]:
    distance = ergodic.drift_curve(layer, metric, x0, [depth, 2 * depth], samples, order=order).distance.values
    steps = (distance[:, 1] - distance[:, 0]) / depth
    return float(steps.mean()), float(steps.std(ddof=1)) / samples**0.5


@pytest.mark.statement("thm-kingman")
@pytest.mark.parametrize(
    ("layer", "metric", "x0", "y0"),
    [
        (MaxPlus(3), metrics.lp(math.inf), [0.0, 0.0, 0.0], [1.0, -2.0, 0.5]),
        (Positive(3), metrics.thompson, [1.0, 1.0, 1.0], [1.0, 4.0, 0.5]),
    ],
    ids=["maxout", "positive"],
)
def test_distances_are_subadditive_path_by_path(layer, metric, x0, y0):
    maps = [layer.sample(torch.Generator(device=CPU).manual_seed(l), samples=50, dtype=torch.float64) for l in range(12)]

    def distance(start, chosen, order):
        x = point = tensor(start).expand(50, 1, 3)
        for T in chosen if order == "forward" else reversed(chosen):
            x = T(x)
        return metric(point, x).squeeze(-1)

    for order in ("forward", "backward"):
        whole = distance(x0, maps, order)
        for cut in (1, 5, 9):
            assert (whole <= distance(x0, maps[:cut], order) + distance(x0, maps[cut:], order) + 1e-9).all()
        assert ((whole - distance(y0, maps, order)).abs() <= 2 * float(metric(tensor(x0), tensor(y0))) + 1e-9).all()


@pytest.mark.statement("thm-kingman")
@pytest.mark.parametrize("order", ["forward", "backward"])
def test_the_mean_rate_comes_from_above_and_single_networks_settle(order):
    exact, depths = ergodic.maxplus_drift(0.5), [1, 2, 4, 8, 512]
    curve = ergodic.drift_curve(MaxPlus(2, ("bernoulli", 0.5)), metrics.lp(math.inf), tensor([0.0, 0.0]), depths, 1500, seed=2, order=order)
    rate, se = curve.rate.values, curve.rate_se.values
    for value, error, reference in zip(rate[:2], se[:2], (15 / 16, 231 / 256), strict=True):
        assert_within_errors(value, error, reference)
    assert (rate > exact - 4 * se).all() and (rate[:3] > exact + 4 * se[:3]).all()
    single = curve.distance.values / np.array(depths)
    assert np.abs(single[:, -1] - exact).max() < 0.12 < np.abs(single[:, 3] - exact).max()  # every network, the same number


@pytest.mark.statement("prop-drift-order")
def test_independent_layers_have_the_same_law_in_both_orders():
    runs = [
        ergodic.drift_curve(MaxPlus(2, ("bernoulli", 0.3)), metrics.lp(math.inf), tensor([0.0, 0.0]), [6, 40], 2500, seed=s, order=o).distance
        for s, o in ((1, "forward"), (2, "backward"))
    ]
    for n in (6, 40):
        first, second = (run.sel(depth=n).values for run in runs)
        for power in (1, 2):
            a, b = first**power, second**power
            assert_within_errors(a.mean(), a.std() / 50, b.mean(), b.std() / 50)


@pytest.mark.statement("prop-drift-order")
def test_a_cycle_of_three_has_two_drifts_and_a_reversible_chain_one():
    parts, (a, b, c) = [matrix_layer(m) for m in MATRICES], map(np.array, MATRICES)
    exact = {o: math.log(np.abs(np.linalg.eigvals(m)).max()) / 3 for o, m in (("forward", c @ b @ a), ("backward", a @ b @ c))}
    assert abs(exact["forward"] - exact["backward"]) > 0.1
    for order, value in exact.items():
        found, _ = slope(Stationary(parts, CYCLE), metrics.thompson, tensor([1.0, 1.0]), 60, 30, order)
        assert found == pytest.approx(value, rel=1e-10)
    fair = Stationary(parts, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    two = Stationary(parts[:2], [[0.9, 0.1], [0.4, 0.6]])
    for layer in (fair, two):
        (f, f_se), (g, g_se) = (slope(layer, metrics.thompson, tensor([1.0, 1.0]), 60, 400, o) for o in ("forward", "backward"))
        assert_within_errors(f, f_se, g, g_se)


@pytest.mark.statement("prop-isometry-drift")
@pytest.mark.parametrize("order", ["forward", "backward"])
def test_reflections_have_an_exact_second_moment(order):
    parts = [Fixed(lambda x: x + 1, 2), Fixed(lambda x: x * tensor([1.0, -1.0]) + 1, 2)]
    walk = Stationary(parts, [[0.5, 0.5], [0.5, 0.5]])
    depths = [1, 7, 64]
    curve = ergodic.drift_curve(walk, metrics.lp(2), tensor([0.0, 0.0]), depths, 1500, order=order)
    assert np.abs(curve.distance.sel(depth=1) - math.sqrt(2)).max() < 1e-12
    for n in depths[1:]:
        square = curve.distance.sel(depth=n).values ** 2
        assert_within_errors(square.mean(), square.std() / 1500**0.5, n * n + n)


@pytest.mark.statement("prop-isometry-drift")
def test_turns_about_an_axis_keep_the_part_along_it():
    v = tensor([1.0, 2.0, 0.7])

    def turn(angle: float) -> Fixed:
        c, s = math.cos(angle), math.sin(angle)
        r = tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        return Fixed(lambda x: x @ r.mT + v, 3)

    walk = Stationary([turn(0.4), turn(1.1)], [[0.5, 0.5], [0.5, 0.5]])
    deep = ergodic.drift(walk, metrics.lp(2), tensor([0.0, 0.0, 0.0]), 4000, 40)
    # What is left across the axis is of the order of depth^(-1/2), and enters squared.
    assert 0.7 - 4 * deep.se < deep.value < 0.7 + 0.01
    assert float(torch.linalg.vector_norm(v)) > 2.3

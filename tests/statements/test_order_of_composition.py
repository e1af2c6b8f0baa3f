"""Statements of *The order of composition* (Part II)."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import special, stats

import deeplimits as dl
from deeplimits.ergodic import successive_distances
from deeplimits.metrics import pull_back, sup

F64 = torch.float64


def agrees(values: np.ndarray, reference: float) -> None:
    se = values.std(ddof=1) / math.sqrt(values.size)
    assert abs(values.mean() - reference) <= 4 * se, (values.mean(), reference, se)


# --- the coin-toss network -------------------------------------------------------------------------------------------


@pytest.mark.statement("prop-bernoulli-convolution")
@pytest.mark.parametrize("n", [0, 1, 3, 6])
def test_steps_of_the_coin_toss_network_over_all_tosses(n):
    """Every outcome of n + 1 tosses, composed map by map: the expectations are exact."""
    forward, backward, limit = [], [], []
    for tosses in itertools.product((0.0, 0.5), repeat=n + 1):
        maps = [lambda x, c=c: x / 2 + c for c in tosses]
        forward.append(_apply(maps) - _apply(maps[:-1]))
        backward.append(_apply(maps[::-1]) - _apply(maps[:-1][::-1]))
        limit.append(_apply(maps[::-1]))
    assert np.mean(np.square(forward)) == pytest.approx(1 / 12 + 4.0**-n / 24, rel=1e-12)
    assert np.mean(np.square(backward)) == pytest.approx(4.0**-n / 8, rel=1e-12)
    assert max(np.abs(backward)) <= 2.0 ** (-n - 1)
    assert sorted(limit) == pytest.approx(np.arange(2 ** (n + 1)) / 2 ** (n + 1))  # uniform, to n + 1 digits


def _apply(maps) -> float:
    """The maps from first to last, the first acting first."""
    x = 0.0
    for T in maps:
        x = T(x)
    return x


# --- one law at each depth -------------------------------------------------------------------------------------------


@pytest.mark.statement("prop-same-law")
def test_two_inputs_have_one_joint_law_in_either_order():
    layer, x0 = dl.Dense(5, "relu", 0.9, 0.5), torch.tensor([[1.0, 0, 0, 0, 0], [0, 3.0, 0, 0, 0]], dtype=F64)
    observers = {"norm": lambda x: x[:, 0].norm(dim=-1), "inner": lambda x: (x[:, 0] * x[:, 1]).sum(-1), "gap": lambda x: (x[:, 0] - x[:, 1]).norm(dim=-1)}
    runs = [dl.simulate(layer, x0, 4, observers, record=[4], samples=3000, order=order, seed=seed, progress=False)
            for order, seed in (("forward", 31), ("backward", 32))]
    for name in observers:
        assert stats.ks_2samp(*(run[name].values.ravel() for run in runs)).pvalue > 1e-4, name


@pytest.mark.statement("prop-same-law")
def test_a_backward_step_has_the_law_of_a_distance_in_forward_order():
    layer, n, samples = dl.Dense(6, "tanh", 0.8, 0.5), 12, 1500
    steps = successive_distances(layer, torch.zeros(6, dtype=F64), [n], samples, seed=33).log_step.values.ravel()
    generator, many = torch.Generator().manual_seed(34), {"samples": samples, "dtype": F64}
    x = torch.zeros(samples, 1, 6, dtype=F64)
    y = layer.sample(generator, **many)(x)
    for _ in range(n):
        T = layer.sample(generator, **many)
        x, y = T(x), T(y)
    distance = (x - y).norm(dim=-1).log().numpy().ravel()
    assert stats.ks_2samp(steps, distance).pvalue > 1e-4


# --- Letac's principle -----------------------------------------------------------------------------------------------


@pytest.mark.statement("thm-letac")
def test_the_backward_limit_does_not_depend_on_the_start_and_has_a_stationary_law():
    layer = dl.Dense(6, "relu", 0.6, 1.0)
    starts = torch.tensor([[0.0] * 6, [50.0] * 6], dtype=F64)
    z = dl.simulate(layer, starts, 80, {"z": lambda x: x}, record=[80], samples=1500, order="backward", seed=35, progress=False).z.values.reshape(1500, 2, 6)
    assert np.abs(z[:, 0] - z[:, 1]).max() < 1e-12
    T = layer.sample(torch.Generator().manual_seed(36), samples=1500, dtype=F64)
    moved = T(torch.as_tensor(z[:, :1]))[:, 0].numpy()
    assert stats.ks_2samp(np.linalg.norm(z[:, 0], axis=-1), np.linalg.norm(moved, axis=-1)).pvalue > 1e-4


@pytest.mark.statement("thm-letac")
def test_expansion_in_the_mean_is_allowed_where_the_mean_logarithm_contracts():
    """x -> a x + 1 with a in {2, 1/5}: E a > 1, E log a < 0. Tested in logarithms, with exact partial sums."""
    rng = np.random.default_rng(37)
    log_a = np.log(rng.choice([2.0, 0.2], size=(500, 400)))
    walk = np.cumsum(log_a, axis=1)                        # log of Z_{n+1} - Z_n
    assert (walk[:, -1] < -50).all()
    agrees(walk[:, -1] / 400, 0.5 * math.log(0.4))


@pytest.mark.statement("thm-letac")
def test_without_biases_the_forward_orbit_settles_at_the_common_fixed_point_and_with_them_it_does_not():
    x0 = torch.ones(1, 8, dtype=F64)
    for bias, settles in ((0.0, True), (0.5, False)):
        ds = dl.simulate(dl.Dense(8, "tanh", 0.6, bias), x0, 61, {"x": lambda x: x[:, 0]}, record=[60, 61], samples=200, seed=38, progress=False)
        step = np.linalg.norm(ds.x.diff("depth").values.reshape(200, 8), axis=-1)
        assert (step.max() < 1e-6) if settles else (np.median(step) > 0.1)


@pytest.mark.statement("thm-letac")
@pytest.mark.parametrize("order", ["forward", "backward"])
def test_a_stationary_sequence_that_tells_past_from_future(order):
    """Mean squares of the two orders, from the chain that runs before each layer; they differ by a factor above two."""
    gain, noise = np.array([0.5, 1.2, 0.2]), np.array([1.0, 0.0, 0.0])
    P = np.array([[0.1, 0.9, 0.0], [0.0, 0.1, 0.9], [0.9, 0.0, 0.1]])
    layer = dl.Stationary([dl.Dense(4, "identity", g, b) for g, b in zip(gain, noise, strict=True)], P)
    exact = np.linalg.solve(np.eye(3) - gain[:, None] ** 2 * {"forward": P.T, "backward": P}[order], noise**2).mean()
    ds = dl.simulate(layer, torch.ones(1, 4), 30, {"q": lambda x: (x[:, 0] ** 2).mean(-1)}, record=[30], samples=2500, order=order, seed=39, progress=False)
    agrees(ds.q.values.ravel().astype(float), exact)
    if order == "backward":
        steps = successive_distances(layer, torch.ones(4, dtype=F64), [10, 50], 200, seed=40).log_step.diff("depth").values.ravel() / 40
        agrees(steps, np.log(gain).mean() + dl.ergodic.lyapunov_exponent(dl.Dense(4, "identity", 1.0)).value)


# --- decision functions ----------------------------------------------------------------------------------------------


@pytest.mark.statement("prop-decision-functions")
def test_decision_functions_reverse_the_order_and_have_no_drift():
    generator = torch.Generator().manual_seed(41)
    layer = dl.Dense(3, "tanh", 5.0, 1.0)                 # far from contracting
    maps = [layer.sample(generator, dtype=F64) for _ in range(6)]
    points = 2 * torch.rand(50, 3, generator=generator, dtype=F64) - 1
    f, g = (lambda x: x[:, 0] ** 2), (lambda x: torch.sin(4 * x[:, 1]))
    pulled = [f, g]
    for T in reversed(maps):                              # C_{T_1}( ... (C_{T_n} f)): the last layer is applied first
        pulled = [pull_back(h, T) for h in pulled]
    image = points
    for T in maps:                                        # T_n( ... T_1 x)
        image = T(image)
    assert torch.equal(pulled[0](points), f(image))
    # (2) with K replaced by its image: the supremum over T(K) is at most that over a set which holds it
    both = sup(torch.cat([points, image]))
    assert float(sup(points)(*pulled)) <= float(both(f, g))
    # (3) |f| <= 1 on [-1, 1]^3, whatever the depth
    assert float(sup(points)(pulled[0], f)) <= 2.0
    # (4) constants stay apart by what they were: the Lipschitz constant is one
    one, two = (lambda x: 0 * x[:, 0]), (lambda x: 0 * x[:, 0] + 0.7)
    for T in maps:
        one, two = pull_back(one, T), pull_back(two, T)
    assert float(sup(points)(one, two)) == 0.7


@pytest.mark.statement("prop-decision-functions")
def test_any_map_of_a_finite_set_into_itself_and_a_map_that_leaves_it():
    generator = torch.Generator().manual_seed(42)
    points = torch.arange(20.0)[:, None]
    d = sup(points)
    for _ in range(50):
        values, target = torch.randn(2, 20, generator=generator), torch.randint(20, (20,), generator=generator)
        f, g = (lambda x, v=v: v[x[:, 0].long()] for v in values)
        T = lambda x, t=target: t[x[:, 0].long()].to(x.dtype)[:, None]
        assert float(d(pull_back(f, T), pull_back(g, T))) <= float(d(f, g))
    leaves = lambda x: x + 0.5
    f, g = (lambda x: 0 * x[:, 0]), (lambda x: torch.sin(math.pi * x[:, 0]) ** 2)
    assert float(d(f, g)) < 1e-9 < 0.9 < float(d(pull_back(f, leaves), pull_back(g, leaves)))


# --- directions ------------------------------------------------------------------------------------------------------


def angles(width: int, n: int, samples: int, order: str, seed: int) -> np.ndarray:
    ds = dl.simulate(dl.Dense(width, "identity", 1.0), torch.eye(1, width, dtype=F64), n + 1, {"v": lambda x: x[:, 0]},
                     record=[n, n + 1], samples=samples, order=order, seed=seed, progress=False)
    v = ds.v.values / np.linalg.norm(ds.v.values, axis=-1, keepdims=True)
    cosine = (v[:, 0] * v[:, 1]).sum(-1, keepdims=True)
    return np.arctan2(np.linalg.norm(v[:, 1] - cosine * v[:, 0], axis=-1), np.abs(cosine[:, 0]))


@pytest.mark.statement("prop-gaussian-directions")
@pytest.mark.parametrize("n", [1, 30])
def test_forward_directions_in_the_plane_turn_by_a_uniform_angle(n):
    found = angles(2, n, 3000, "forward", 43)
    assert stats.kstest(found, stats.uniform(0, math.pi / 2).cdf).pvalue > 1e-4
    agrees(found, math.pi / 4)


@pytest.mark.statement("prop-gaussian-directions")
@pytest.mark.parametrize("width, n", [(2, 0), (2, 4), (2, 12), (3, 10), (8, 30)])
def test_backward_directions_converge_at_the_difference_of_two_exponents(width, n):
    exact = (n + 1) * 0.5 * (special.digamma((width - 1) / 2) - special.digamma(width / 2))
    assert width != 2 or exact == pytest.approx(-(n + 1) * math.log(2), rel=1e-12)
    newman = dl.ergodic.newman_exponents(width)
    assert exact == pytest.approx((n + 1) * (newman[1] - newman[0]), rel=1e-10)
    agrees(np.log(np.sin(angles(width, n, 2000, "backward", 44))), exact)

"""Every metric, one suite: axioms (or their documented absence), batches, dtypes, devices, random points."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings

from deeplimits import metrics
from tests.elsewhere import DEVICE, second_device
from tests.metrics.conftest import POINTS

PROPERTY = settings(
    derandomize=True, deadline=None, max_examples=25, database=None, suppress_health_check=[HealthCheck.too_slow]
)
DIM = 2  # the dimension the finite set of the sup metric lives in


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@st.composite
def triples(draw, metric):
    """Three points of a domain, from free coordinates that Hypothesis chooses (ties, zeros and tiny values included)."""
    dim = DIM if metric.domain == "functions" else draw(st.integers(1 if metric.domain != "laws" else 2, 4))
    shape = tuple(metric.space.coordinates(metric.sample(3, dim)).shape)
    u = torch.from_numpy(draw(hnp.arrays("float64", shape, elements=st.floats(-2, 2, allow_subnormal=False))))
    if metric.domain == "directions":
        assume(bool((u != 0).any(dim=-1).all()))
    if metric.domain in ("spd", "gaussians"):
        u[..., -dim:] = (u[..., -dim:] + u[..., -dim:].mT) / 2
    return metric.space.points(u)


@PROPERTY
@given(data=st.data())
def test_distance_axioms(metric, data):
    points = data.draw(triples(metric))
    x, y, z = points[0], points[1], points[2]
    assert torch.isfinite(metric(x, y))
    close(metric(x, x), torch.zeros((), dtype=torch.float64))
    if metric.nonnegative:
        assert metric(x, y) >= 0
    if metric.symmetric:
        close(metric(x, y), metric(y, x))
    if metric.triangle:
        direct, detour = metric(x, z), metric(x, y) + metric(y, z)
        assert direct <= detour + 1e-9 * (1 + detour.abs())


def pair(metric, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = metric.sample(3, 3 if metric.domain != "functions" else DIM, generator)
    return x[0], x[1], x[2]


def test_what_is_not_symmetric_says_so(metric):
    x, y, _ = pair(metric)
    assert metric.symmetric == bool(torch.isclose(metric(x, y), metric(y, x), rtol=1e-8))
    assert metric.symmetric == (metric.name not in ("funk", "kl"))


def test_what_breaks_the_triangle_inequality_says_so(metric):
    assert metric.triangle == (metric.name != "kl")
    p, q, r = (torch.tensor([a, 1 - a], dtype=torch.float64) for a in (0.9, 0.5, 0.1))
    assert metrics.kl(p, r) > metrics.kl(p, q) + metrics.kl(q, r)


def test_pseudo_metrics_identify_what_they_say(metric):
    x, y, _ = pair(metric)
    zero = torch.zeros((), dtype=torch.float64)
    twins = {
        "angle": lambda: (x, 2 * x),
        "span": lambda: (x, x + 1),
        "hilbert": lambda: (x, 7 * x),
        "spd_hilbert": lambda: (x, 7 * x),
        "funk": lambda: (x, x * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)),
        "sup": lambda: (x, lambda p: x(p) + (p.square().sum(-1) > 100).double()),
    }
    assert metric.separates == (metric.name not in twins)
    if metric.name in twins:
        close(metric(*twins[metric.name]()), zero)
    else:
        assert metric(x, y) > 1e-3


def test_batches_broadcast(metric):
    dim = DIM if metric.domain == "functions" else 3
    generator = torch.Generator().manual_seed(1)
    x, y = metric.sample(4, dim, generator), metric.sample(5, dim, generator)
    table = metric(x[:, None], y[None])
    assert table.shape == (4, 5)
    one_by_one = torch.stack([torch.stack([metric(x[i], y[j]) for j in range(5)]) for i in range(4)])
    close(table, one_by_one, 1e-12)
    assert metric(x[0], y).shape == (5,)
    assert metric(x[0], y[0]).shape == ()


def test_float32_is_kept(metric):
    dim = DIM if metric.domain == "functions" else 3
    generator = torch.Generator().manual_seed(2)
    x, y = metric.sample(6, dim, generator), metric.sample(6, dim, generator)
    if metric.domain == "functions":
        narrow = metrics.sup(POINTS.to(torch.float32))
    else:
        narrow = metric
    single = narrow(x.to(torch.float32), y.to(torch.float32))
    assert single.dtype == torch.float32
    assert metric(x, y).dtype == torch.float64
    torch.testing.assert_close(single.double(), metric(x, y), rtol=2e-3, atol=2e-3)


def test_distances_elsewhere(metric, monkeypatch):
    """On another device, where what was left on the CPU is an error, the same distances, and they stay there."""
    dim = DIM if metric.domain == "functions" else 3
    x, y = metric.sample(4, dim, torch.Generator().manual_seed(0)), metric.sample(4, dim, torch.Generator().manual_seed(1))
    here = metric.distance(x, y)
    with second_device(monkeypatch, default=False):
        moved = metrics.sup(POINTS.to(DEVICE)) if metric.domain == "functions" else metric  # functions live where their points are
        there = moved.distance(x.to(DEVICE), y.to(DEVICE))
        assert there.device == DEVICE
        close(there.cpu(), here)


def test_random_points_lie_in_the_domain_and_repeat(metric):
    dim = DIM if metric.domain == "functions" else 5
    first = metric.sample(7, dim, torch.Generator().manual_seed(3), dtype=torch.float32)
    again = metric.sample(7, dim, torch.Generator().manual_seed(3), dtype=torch.float32)
    metric.space.check("x", first)
    assert first.dtype == torch.float32
    coordinates = metric.space.coordinates
    assert torch.equal(coordinates(first), coordinates(again))
    with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
        metric.sample(0, dim)


def test_coordinates_and_points_are_inverse(metric):
    x = metric.sample(5, 3, torch.Generator().manual_seed(4))
    u = metric.space.coordinates(x)
    back = metric.space.coordinates(metric.space.points(u))
    close(back, u, 1e-8)


def test_every_metric_describes_itself(metric):
    assert metric.formula and metric.name and metric.domain in repr(metric)
    assert ".. math::" in metric.__doc__ and "Example:" in metric.__doc__


def test_gradients_are_finite(metric):
    """The kernels can be differentiated at points in general position."""
    dim = DIM if metric.domain == "functions" else 3
    x = metric.sample(4, dim, torch.Generator().manual_seed(5))
    y = metric.sample(4, dim, torch.Generator().manual_seed(6))
    u = metric.space.coordinates(x).clone().requires_grad_(True)
    metric.distance(metric.space.points(u), y).sum().backward()
    assert torch.isfinite(u.grad).all() and u.grad.abs().sum() > 0

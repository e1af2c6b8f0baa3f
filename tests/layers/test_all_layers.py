"""What every layer owes: batches, difference quotients without cancellation, honest flags, provenance."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import deeplimits.layers as L
from tests.layers.catalogue import CATALOGUE, F64, rng
from tests.support import no_implicit_device

S, PAIRS = 4, 3
everything = pytest.mark.parametrize("name", CATALOGUE)


def draw(name: str, seed: int = 3, samples: int | None = S):
    layer, points = CATALOGUE[name]
    return layer, layer.sample(rng(seed), samples=samples, dtype=F64), points


@everything
def test_shapes_of_a_batch_and_of_a_single_map(name):
    layer, batch, points = draw(name)
    x = points((S, PAIRS), layer.fan_in, rng(1))
    tail = (layer.width,) * (x.ndim - 2)
    assert batch(x).shape == (S, PAIRS, *tail) and torch.isfinite(batch(x)).all()
    _, single, _ = draw(name, samples=None)
    assert single(x[0, 0]).shape == tail
    assert single(x).shape == (S, PAIRS, *tail)
    assert torch.allclose(single(x)[1, 2], single(x[1, 2]), rtol=1e-12)


@everything
def test_networks_of_a_batch_are_apart_and_inputs_of_a_network_share_the_map(name):
    layer, batch, points = draw(name)
    x = points((), layer.fan_in, rng(1))
    y = batch(x.expand(S, 2, *x.shape))
    assert torch.allclose(y[:, 0], y[:, 1], rtol=1e-12)
    if not isinstance(layer, (L.MatrixPower, L.ReEig, L.Softmax)):
        assert (y[0, 0] != y[1, 0]).any()


@everything
def test_a_batch_of_one_is_the_single_map(name):
    layer, single, points = draw(name, samples=None)
    _, batch, _ = draw(name, samples=1)
    x = points((1, 3), layer.fan_in, rng(1))
    assert torch.allclose(batch(x)[0], single(x[0]), rtol=1e-12, atol=1e-15)


@everything
def test_same_seed_same_map(name):
    layer, first, points = draw(name)
    _, second, _ = draw(name)
    x = points((S, 2), layer.fan_in, rng(1))
    assert torch.equal(first(x), second(x))


@everything
@pytest.mark.parametrize("log_scale", [0.0, -4.0, -12.0])
def test_pair_is_the_difference_quotient(name, log_scale):
    layer, T, points = draw(name)
    g = rng(5)
    x = points((S, 1), layer.fan_in, g)
    # Towards another point of the domain, so that the step stays inside for every scale below one.
    d = 0.5 * (points((S, PAIRS), layer.fan_in, g) - x)
    s = torch.full((S, PAIRS), log_scale, dtype=F64, device="cpu")
    t = torch.exp(s).reshape(S, PAIRS, *(1,) * (x.ndim - 2))
    y, quotient = T.pair(x, d, s)
    plain = (T(x + t * d) - T(x)) / t
    size = plain.abs().amax()
    assert torch.allclose(y, T(x), rtol=1e-13, atol=1e-14)
    assert (quotient - plain).abs().amax() <= size * max(1e-11, 1e-13 * torch.exp(-s[0, 0]))


@everything
@pytest.mark.parametrize("log_scale", [-45.0, -2000.0])
def test_pair_is_the_derivative_at_tiny_scales(name, log_scale):
    layer, T, points = draw(name)
    g = rng(5)
    x = points((S, 1), layer.fan_in, g)
    d = points((S, PAIRS), layer.fan_in, g) - x
    _, quotient = T.pair(x, d, torch.full((S, PAIRS), log_scale, dtype=F64, device="cpu"))
    full = x.expand(d.shape).clone()
    _, slope = torch.func.jvp(T, (full,), (d,))
    assert torch.allclose(quotient, slope, rtol=1e-10, atol=1e-12 * float(slope.abs().amax()))


@everything
def test_pair_takes_a_scale_for_each_pair(name):
    layer, T, points = draw(name)
    g = rng(6)
    x, y = points((S, 1), layer.fan_in, g), points((S, 2), layer.fan_in, g)
    d = 0.5 * (y - x)
    scales = torch.tensor([-0.5, -900.0], dtype=F64, device="cpu")
    _, both = T.pair(x, d, scales.expand(S, 2))
    for k in range(2):
        _, one = T.pair(x, d[:, k : k + 1], scales[k].expand(S, 1))
        assert torch.allclose(both[:, k], one[:, 0], rtol=1e-12, atol=1e-14)


@everything
@settings(max_examples=12)
@given(log_t=st.floats(-8, 8), seed=st.integers(0, 5))
def test_homogeneous_flag(name, log_t, seed):
    layer, T, points = draw(name)
    x = points((S, 2), layer.fan_in, rng(seed))
    t = torch.exp(torch.tensor(log_t, dtype=F64, device="cpu"))
    if layer.homogeneous:
        assert torch.allclose(T(t * x), t * T(x), rtol=1e-10)
    elif abs(log_t) > 1:
        assert not torch.allclose(T(t * x), t * T(x), rtol=1e-4)


@everything
def test_fixes_zero_flag(name):
    layer, T, points = draw(name)
    x = points((S, 2), layer.fan_in, rng(8))
    zero = torch.zeros_like(x)
    if not layer.fixes_zero:
        # Some power has T(0) = 0 without a derivative there; all others move zero.
        still = torch.isfinite(T(zero)).all() and (T(zero) == 0).all()
        assert not still or isinstance(layer, (L.MatrixPower, L.Positive))
        return
    assert (T(zero).abs() <= 1e-15).all()
    first = T(1e-9 * x) / 1e-9
    assert torch.allclose(T(1e-12 * x) / 1e-12, first, rtol=1e-5, atol=1e-8)


@everything
def test_every_distance_that_a_layer_claims_not_to_increase(name):
    from deeplimits import metrics

    layer, _ = CATALOGUE[name]
    for claim in layer.metrics:
        metric = {"lp(1)": metrics.lp(1), "lp(2)": metrics.lp(2), "lp(inf)": metrics.lp(float("inf"))}.get(claim) or getattr(metrics, claim)
        found = metrics.check_semi_invariance(layer, metric, samples=150, maps=2, steps=10, seed=2)
        assert found.semi_invariant, (claim, found.ratio)


@everything
def test_description_is_json_and_formula_is_there(name):
    layer, _ = CATALOGUE[name]
    described = json.loads(json.dumps(layer.describe()))
    assert described["layer"] == type(layer).__name__ and described["width"] == layer.width
    assert r"\mapsto" in layer.formula and repr(layer).startswith(type(layer).__name__)


@everything
def test_no_tensor_without_a_device(name):
    layer, points = CATALOGUE[name]
    x = points((S, 1), layer.fan_in, rng(1))
    d = points((S, PAIRS), layer.fan_in, rng(2)) - x
    s = torch.full((S, PAIRS), -3.0, dtype=F64, device="cpu")
    with no_implicit_device():
        state = layer.start(rng(2), S)
        T = layer.sample(rng(3), samples=S, dtype=F64, device="cpu", state=layer.advance(state, rng(4)))
        T(x)
        T.pair(x, d, s)
        layer.sample(rng(3), dtype=F64)


@everything
def test_float32_map_refuses_or_takes_only_its_own_dtype(name):
    layer, points = CATALOGUE[name]
    x = points((2,), layer.fan_in, rng(1))
    T = layer.sample(rng(0), dtype=torch.float32)
    assert T(x.float()).dtype == torch.float32
    if not isinstance(layer, (L.MatrixPower, L.ReEig, L.Softmax)):
        with pytest.raises(TypeError, match="float64"):
            T(x)


@everything
def test_wrong_size_is_named(name):
    layer, points = CATALOGUE[name]
    T = layer.sample(rng(0), dtype=F64)
    with pytest.raises(ValueError, match="x must have"):
        T(points((2,), layer.fan_in + 1, rng(1)))


def test_sample_checks_its_arguments():
    layer = L.Dense(4)
    with pytest.raises(ValueError, match="samples"):
        layer.sample(samples=0)
    with pytest.raises(TypeError, match="dtype"):
        layer.sample(dtype=torch.float16)


def test_default_pair_keeps_ten_digits_for_a_map_without_its_own():
    T = L.Function(lambda x: torch.tanh(x) * x.norm(dim=-1, keepdim=True))
    x = torch.randn(2, 1, 5, generator=rng(0), dtype=F64, device="cpu")
    d = torch.randn(2, 3, 5, generator=rng(1), dtype=F64, device="cpu")
    for s in (0.0, -6.0, -14.0, -30.0, -2000.0):
        scale = torch.full((2, 3), s, dtype=F64, device="cpu")
        _, quotient = T.pair(x, d, scale)
        # The mean derivative along the step, by Gauss-Legendre quadrature.
        rule = ((0.5 - 0.5 * 0.6**0.5, 5 / 18), (0.5, 8 / 18), (0.5 + 0.5 * 0.6**0.5, 5 / 18))
        if s < -5:
            mean = sum(w * torch.func.jvp(T, (x + r * scale.exp()[0, 0] * d,), (d,))[1] for r, w in rule)
            assert torch.allclose(quotient, mean, rtol=1e-9)
        else:
            assert torch.allclose(quotient, (T(x + scale.exp().unsqueeze(-1) * d) - T(x)) / scale.exp().unsqueeze(-1), rtol=1e-10)


def test_default_pair_at_the_origin():
    scale = torch.tensor([[-3.0, -40.0, -300.0]], dtype=F64, device="cpu")
    x, d = torch.zeros(1, 1, 4, dtype=F64, device="cpu"), torch.randn(1, 3, 4, generator=rng(1), dtype=F64, device="cpu")
    _, ray = L.Function(torch.relu).pair(x, d, scale)
    assert torch.allclose(ray, torch.relu(d), rtol=1e-12)
    _, slope = L.Function(torch.exp).pair(x, d, scale)
    assert torch.allclose(slope[:, 1:], d[:, 1:], rtol=1e-12)

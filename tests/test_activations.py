"""Activations: values, derivatives, and difference quotients at every scale against independent routes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deeplimits import activations
from tests.support import no_implicit_device

F64 = torch.float64
SMOOTH = ("tanh", "erf", "sin", "softplus")
KINKED = ("relu", "leaky_relu", "abs", "hardtanh", "identity")
NODES, WEIGHTS = (torch.as_tensor(a) for a in np.polynomial.legendre.leggauss(60))


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=F64, device="cpu")


GRID = torch.linspace(-4, 4, 41, dtype=F64, device="cpu") + 0.0123


def exact_value(name: str, u: Fraction) -> Fraction:
    """Piecewise linear activations in exact arithmetic."""
    slope = Fraction(0.01)
    return {"relu": max(u, Fraction(0)), "leaky_relu": u if u > 0 else slope * u, "abs": abs(u),
            "hardtanh": max(Fraction(-1), min(Fraction(1), u)), "identity": u}[name]


@pytest.mark.parametrize("name", activations.NAMES)
def test_value_is_torchs(name):
    reference = {"relu": torch.relu, "leaky_relu": torch.nn.functional.leaky_relu, "abs": torch.abs, "tanh": torch.tanh, "erf": torch.erf,
                 "sin": torch.sin, "hardtanh": torch.nn.functional.hardtanh, "identity": lambda u: u,
                 "softplus": torch.nn.functional.softplus}
    assert torch.allclose(activations.get(name)(GRID), reference[name](GRID), rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", activations.NAMES)
def test_derivative_is_autograds(name):
    act = activations.get(name)
    u = GRID.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(act(u).sum(), u)
    assert torch.allclose(act.derivative(GRID), slope, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("log_scale", [2.0, 0.0, -2.0, -3.1, -6.0, -12.0, -30.0, -800.0, -2000.0])
def test_smooth_quotients_are_mean_slopes(name, log_scale):
    """(phi(u + tv) - phi(u))/t is v times the mean of phi' along the step: 40 panels of 60-point quadrature."""
    act = activations.get(name)
    u, v = GRID.unsqueeze(-1), tensor([-2.0, -0.3, 1e-9, 0.7, 1.9])
    step = math.exp(log_scale) * v
    mean = torch.zeros(41, 5, dtype=F64, device="cpu")
    panels = 40
    for k in range(panels):
        for node, weight in zip(NODES.tolist(), WEIGHTS.tolist(), strict=True):
            mean += weight / 2 / panels * act.derivative(u + (k + (1 + node) / 2) / panels * step)
    quotient = act.difference(u, v, tensor([[log_scale]]))
    assert torch.allclose(quotient, v * mean, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("name", KINKED)
def test_kinked_quotients_in_exact_arithmetic(name):
    act = activations.get(name)
    points = [-3.0, -1.0 - 1e-12, -1e-3, -1e-200, 1e-200, 1e-14, 0.4, 1.0 - 1e-9, 1.0 + 1e-15, 2.0]
    for log_scale in (0.0, -1.0, -7.0, -28.0, -300.0, -460.0):
        t = math.exp(log_scale)
        for v in (-3.0, -1e-3, 0.25, 2.0):
            got = act.difference(tensor(points), tensor(v), tensor([log_scale]))
            for u, quotient in zip(points, got.tolist(), strict=True):
                exact = (exact_value(name, Fraction(u) + Fraction(t) * Fraction(v)) - exact_value(name, Fraction(u))) / Fraction(t)
                # The only rounding that shows is that of u + tv, next to a kink of hardtanh away from zero.
                slack = 2e-16 / t if name == "hardtanh" and abs(abs(u) - 1) < 1.5 * t * abs(v) else 1e-13 * abs(v)
                assert abs(quotient - float(exact)) <= slack, (u, v, log_scale)


@pytest.mark.parametrize("name", activations.NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quotient_at_vanishing_scales_is_the_derivative(name, dtype):
    act = activations.get(name)
    u, v = GRID.to(dtype), torch.linspace(-2, 2, 41, dtype=dtype, device="cpu")
    for log_scale in (-100.0, -745.0, -2000.0, -1e6):
        quotient = act.difference(u, v, torch.tensor([log_scale], dtype=F64, device="cpu"))
        assert quotient.dtype == dtype
        assert torch.allclose(quotient, act.derivative(u) * v, rtol=1e-12 if dtype == F64 else 1e-5, atol=0)


@pytest.mark.parametrize("name", activations.NAMES)
def test_far_points_and_long_steps_stay_finite(name):
    act = activations.get(name)
    u = tensor([-1e6, -400.0, -30.0, 30.0, 400.0, 1e6]).unsqueeze(-1)
    v = tensor([-1.0, 0.0, 1.0])
    for log_scale in (30.0, 5.0, 0.0, -5.0, -900.0):
        quotient = act.difference(u, v, tensor([[log_scale]]))
        assert torch.isfinite(quotient).all() and (quotient[:, 1] == 0).all()
        assert (quotient.abs() <= act.lipschitz * v.abs() * (1 + 1e-9) + 1e-300).all()


def test_tanh_keeps_digits_where_it_saturates():
    quotient = activations.get("tanh").difference(tensor([20.0]), tensor([1.0]), tensor([0.0])).item()
    exact = 2 * math.exp(-40) - 2 * math.exp(-42)  # tanh u = 1 - 2 e^{-2u} + ..., to 17 digits
    assert quotient == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("name", activations.NAMES)
@given(u=st.floats(-50, 50), w=st.floats(-50, 50), t=st.floats(1e-3, 1e3))
def test_flags(name, u, w, t):
    act = activations.get(name)
    a, b = (act(tensor(z)).item() for z in (u, w))
    assert abs(a - b) <= act.lipschitz * abs(u - w) * (1 + 1e-12) + 1e-14
    if act.odd:
        assert act(tensor(-u)).item() == -a
    if act.homogeneous:
        assert act(tensor(t * u)).item() == pytest.approx(t * a, rel=1e-14, abs=1e-300)
        assert act.slope == pytest.approx(-act(tensor(-1.0)).item())
    assert (act(tensor(0.0)).item() == 0) == act.fixes_zero


def test_quotient_broadcasts_over_inputs():
    act = activations.get("tanh")
    u, v, s = tensor([[[0.1, 0.2]]]), torch.ones(3, 4, 2, dtype=F64, device="cpu"), torch.zeros(3, 4, 1, dtype=F64, device="cpu")
    for name in activations.NAMES:
        assert activations.get(name).difference(u, v, s).shape == (3, 4, 2)
    assert torch.allclose(act.difference(u, v, s)[2, 3], act(u[0, 0] + 1) - act(u[0, 0]), rtol=1e-12)


@pytest.mark.parametrize("name", activations.NAMES)
def test_no_tensor_without_a_device(name):
    act, u = activations.get(name), GRID
    with no_implicit_device():
        act(u), act.derivative(u), act.difference(u, u, -u)


def test_names_and_slopes():
    assert activations.get("linear").name == "identity"
    assert activations.get("leaky_relu").slope == 0.01 and activations.get("leaky_relu", 0.3).slope == 0.3
    assert activations.get("leaky_relu", -2.0).lipschitz == 2.0
    same = activations.get("tanh")
    assert activations.get(same) is same
    assert [activations.get(n).slope for n in ("relu", "abs", "identity", "tanh")] == [0, -1, 1, None]


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (("gelu",), ValueError, "activation must be one of 'relu'.*got 'gelu'"),
    ((3,), TypeError, "activation"),
    (("relu", 0.1), ValueError, "slope"),
    (("leaky_relu", math.nan), ValueError, "slope must be finite"),
    (("leaky_relu", "steep"), TypeError, "slope must be a number"),
])
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        activations.get(*arguments)

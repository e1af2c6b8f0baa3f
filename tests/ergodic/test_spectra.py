"""Lyapunov spectra and long products against exact spectra and high-precision arithmetic."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import torch

from deeplimits import ergodic
from deeplimits.engine.streams import stream
from deeplimits.layers import Congruence, Dense, Positive
from tests.support import assert_within_errors, no_implicit_device

CPU = torch.device("cpu")


def gaussian(width: int):
    return lambda generator, samples: torch.randn(samples, width, width, generator=generator, dtype=torch.float64, device=CPU)


def assert_spectrum(found, exact):
    for value, se, reference in zip(found.values, found.se, exact, strict=True):
        assert_within_errors(value, se, reference)


@pytest.mark.statement("thm-newman")
@pytest.mark.parametrize("width", [2, 3, 4, 8])
def test_products_of_gaussian_matrices(width):
    found = ergodic.lyapunov_spectrum(gaussian(width), depth=100, samples=200, seed=1)
    assert_spectrum(found, ergodic.newman_exponents(width))
    assert np.abs(found.se**2 * 200 * 100 / ergodic.newman_variances(width) - 1).max() < 0.5


@pytest.mark.statement("thm-newman")
@pytest.mark.parametrize(
    ("layer", "exact"),
    [
        (Dense(5, "identity", 0.9), ergodic.newman_exponents(5, 0.9)),
        (Congruence(3, weight_std=3**0.5), ergodic.newman_exponents(3)),
        (Dense(16, "identity", 1.0), ergodic.newman_exponents(16, 1.0)),
    ],
    ids=["dense", "congruence", "householder"],
)
def test_layers_of_gaussian_matrices(layer, exact):
    assert_spectrum(ergodic.lyapunov_spectrum(layer, depth=60, samples=100, seed=2), exact)


def test_haar_layers_have_exponents_exactly_log_std():
    found = ergodic.lyapunov_spectrum(Dense(6, "identity", 1.3, weights="orthogonal"), depth=20, samples=3)
    assert np.abs(found.values - np.log(1.3)).max() < 1e-12


@pytest.mark.statement("prop-angle-collapse")
@pytest.mark.parametrize(("slope", "weights"), [(0.5, "gaussian"), (0.1, "orthogonal")])
def test_second_exponent_is_first_plus_angle_collapse(slope, weights):
    layer = Dense(12, "leaky_relu", slope=slope, weights=weights)
    found = ergodic.lyapunov_spectrum(layer, depth=80, samples=250, count=2, burn=60, x0=torch.ones(12, device=CPU))
    first = ergodic.lyapunov_exponent(layer).value
    assert_within_errors(found.values[0], found.se[0], first)
    # Areas spanned with the orbit itself grow by both: what is across the orbit shrinks against it like the angle.
    assert_within_errors(found.values[1], found.se[1], first + ergodic.angle_collapse_exponent(12, slope, weights))


@pytest.mark.statement("prop-relu-death")
def test_relu_spectrum_is_given_survival():
    found = ergodic.lyapunov_spectrum(Dense(8), depth=50, samples=400, count=2, burn=0)
    assert_within_errors(found.values[0], found.se[0], ergodic.lyapunov_exponent(Dense(8)).value)
    chance = (1 - 2.0**-8) ** 50
    assert_within_errors(found.samples / found.drawn, (chance * (1 - chance) / 400) ** 0.5, chance)
    with pytest.raises(ValueError, match="living networks"):
        ergodic.lyapunov_spectrum(Dense(2), depth=300, samples=4)


def test_lost_rank_is_minus_infinity():
    found = ergodic.lyapunov_spectrum(Dense(4, "relu"), depth=10, samples=200)
    assert np.isneginf(found.values[1:]).all() and (found.se[1:] == 0).all()


@pytest.mark.statement("prop-positive-gap")
def test_positive_products():
    found = ergodic.lyapunov_spectrum(Positive(4), depth=300, samples=200, count=2, burn=20)
    assert_within_errors(found.values[0], found.se[0], 1.38357, 0.00016)
    assert_within_errors(found.values[1], found.se[1], -0.85256, 0.0010)
    bound = ergodic.birkhoff_bound(Positive(4), samples=20_000)
    assert_within_errors(bound.value, bound.se, -1.1752, 0.0002)
    assert found.values[1] - found.values[0] < bound.value


def test_nonlinear_layer_agrees_with_its_differences():
    layer = Dense(8, "tanh", 0.9, 0.3)
    found = ergodic.lyapunov_spectrum(layer, depth=60, samples=100, count=1, burn=20)
    import deeplimits.engine as engine

    x0 = torch.zeros(2, 8, dtype=torch.float64, device=CPU)
    x0[1] = 1e-3
    ds = engine.simulate(layer, x0, 80, ["log_distance"], record=[0, 20, 80], samples=100, seed=7, progress=False)
    slope = (ds.log_distance.isel(depth=2, input=1) - ds.log_distance.isel(depth=1, input=1)) / 60
    assert_within_errors(found.values[0], found.se[0], float(slope.mean()), float(slope.std()) / 10)


@pytest.mark.statement("thm-spd-drift")
@pytest.mark.parametrize("order", ["backward", "forward"])
def test_singular_values_of_long_products(order):
    depth, source = 60, gaussian(3)
    found = ergodic.product_log_singular_values(source, depth, 1, seed=5, order=order)[0].tolist()
    with mp.workdps(200):
        product = mp.eye(3)
        for l in range(1, depth + 1):
            factor = mp.matrix(source(stream(5, l, 0, CPU), 1)[0].tolist())
            product = product * factor if order == "backward" else factor * product
        exact = [float(mp.log(s)) for s in mp.svd_r(product, compute_uv=False)]
    assert found == pytest.approx(exact, rel=1e-9)
    assert exact[0] - exact[2] > 40  # beyond what a double-precision product resolves


def test_singular_values_of_short_products():
    found = ergodic.product_log_singular_values(gaussian(4), 3, 5, seed=2)
    factors = [gaussian(4)(stream(2, l, 0, CPU), 5) for l in (1, 2, 3)]
    assert torch.allclose(found, torch.log(torch.linalg.svdvals(factors[0] @ factors[1] @ factors[2])), rtol=1e-10)


def test_every_tensor_names_its_device():
    with no_implicit_device():
        ergodic.lyapunov_spectrum(Dense(4, "tanh", 0.9), depth=3, samples=2)
        ergodic.lyapunov_spectrum(gaussian(3), depth=3, samples=2, count=2)
        ergodic.product_log_singular_values(Congruence(3), 3, 2)


def test_results_repeat_and_depend_on_the_seed():
    first, again, other = (ergodic.lyapunov_spectrum(Dense(4), 5, 10, seed=s, count=1).values[0] for s in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: ergodic.lyapunov_spectrum(Dense(4), 0), "depth"),
        (lambda: ergodic.lyapunov_spectrum(Dense(4), 5, 1), "samples"),
        (lambda: ergodic.lyapunov_spectrum(Dense(4, fan_in=3), 5), "square"),
        (lambda: ergodic.lyapunov_spectrum(Dense(4), 5, count=5), "count"),
        (lambda: ergodic.lyapunov_spectrum(Dense(4), 5, x0=torch.ones(3, device=CPU)), "x0"),
        (lambda: ergodic.lyapunov_spectrum(lambda g, s: torch.ones(s, 2, device=CPU), 5), "shape"),
        (lambda: ergodic.product_log_singular_values(gaussian(2), 5, 1, order="sideways"), "order"),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()


def test_a_number_is_not_a_layer():
    with pytest.raises(TypeError, match="random layer"):
        ergodic.lyapunov_spectrum(3, 5)

"""Convolutional networks in the engine: the field of local order parameters against exact arithmetic and against limits."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

from deeplimits import criticality, meanfield, percolation
from deeplimits.engine import simulate
from deeplimits.engine.streams import stream
from deeplimits.layers import CircularConv1d, CircularConv2d, Dense
from tests.support import assert_within_errors, no_implicit_device

F64 = torch.float64
KERNELS = ("shared", "fresh")
each_kind = pytest.mark.parametrize("kernels", KERNELS)


def convolution(size=9, channels=2, weight_std=1.5, bias_std=0.3, kernels="shared", **options) -> CircularConv1d:
    return CircularConv1d(size, channels, 3, options.pop("activation", "tanh"), weight_std, bias_std, kernels=kernels, **options)


def run(layer, x0, depth, observe, **options):
    return simulate(layer, x0, depth, observe, progress=False, **options)


# --- the field against exact arithmetic ----------------------------------------------------------------------------------


def exact_log_rho(layer: CircularConv1d, x0: torch.Tensor, depth: int, seed: int) -> np.ndarray:
    """The field after ``depth`` layers with 700 digits, from the very maps that the engine draws."""
    size, channels = layer.size[0], layer.channels
    with mpmath.workdps(700):
        x = [[[mpmath.mpf(v) for v in row] for row in image] for image in x0.reshape(-1, channels, size).tolist()]
        for l in range(1, depth + 1):
            T = layer.sample(stream(seed, l, 0, torch.device("cpu")), samples=1, dtype=F64)
            weight, bias = T.weight[0].tolist(), T.bias[0].tolist()
            at = lambda s, c, e, j, w=weight: w[s][c][e][j] if layer.kernels == "fresh" else w[c][e][j]
            x = [[[mpmath.tanh(bias[c] + mpmath.fsum(at(s, c, e, j) * image[e][(s + j - 1) % size] for e in range(channels) for j in range(3)))
                   for s in range(size)] for c in range(channels)] for image in x]
        out = []
        for s in range(size):
            patch = [[image[e][(s + j - 1) % size] for e in range(channels) for j in range(3)] for image in x]
            gram = lambda a, b, p=patch: layer.weight_std**2 * mpmath.fsum(u * v for u, v in zip(p[a], p[b], strict=True)) / (3 * channels) + layer.bias_std**2
            rho = 1 - gram(0, 1) / mpmath.sqrt(gram(0, 0) * gram(1, 1))
            out.append(float(mpmath.log(rho)) if rho > 0 else -math.inf)
    return np.array(out)


@each_kind
@pytest.mark.parametrize("amplitude", [None, 1e-9, 1e-300])
def test_field_keeps_its_digits_at_every_site(kernels, amplitude):
    """Sites far from the seed are many decades smaller than the largest; each keeps ten digits."""
    layer = convolution(kernels=kernels)
    x0 = percolation.input_pair(9, 2, "inhomogeneous", 1, amplitude=amplitude, seed=3)
    ds = run(layer, x0, 3, ["local_log_rho", "log_rho"], samples=1, seed=5)
    field = ds.local_log_rho.isel(sample=0, input=1)
    for depth in (0, 2, 3):
        exact = exact_log_rho(layer, x0, depth, 5)
        got = field.sel(depth=depth).values
        assert np.array_equal(np.isfinite(got), np.isfinite(exact))
        inside = np.isfinite(exact)
        assert np.allclose(got[inside], exact[inside], rtol=0, atol=1e-9)
        mean = math.log(np.exp(exact[inside] - exact.max()).sum() / exact.size) + exact.max()
        assert ds.log_rho.isel(sample=0, input=1).sel(depth=depth).item() == pytest.approx(mean, abs=1e-9)


@pytest.mark.statement("prop-absorbing-convolution")
@each_kind
def test_equal_inputs_stay_equal_and_a_seed_stays_in_its_cone(kernels):
    layer = convolution(15, 3, 3.0, kernels=kernels)
    x0 = percolation.input_pair(15, 3, "inhomogeneous", 1, seed=1)
    ds = run(layer, torch.cat([x0, x0[:1]]), 5, ["local_rho"], samples=6, seed=2)
    field = ds.local_rho
    assert (field.isel(input=0) == 0).all() and (field.isel(input=2) == 0).all()
    for depth in range(6):
        away = np.abs(np.arange(15) - 7)  # the patch that the next pre-activation sees is one site wider
        at = field.isel(input=1).sel(depth=depth).values
        assert (at[:, away > depth + 1] == 0).all() and (at[:, away <= depth + 1] > 0).all()


@pytest.mark.statement("prop-absorbing-convolution")
def test_homogeneous_inputs_see_a_dense_network_as_wide_as_the_channels():
    """Exactly homogeneous for a shared kernel and not for fresh ones; the law is that of a dense layer."""
    rough = lambda x: x.unflatten(-1, (4, 7)).std(-1).amax((-1, -2))
    g = torch.Generator().manual_seed(4)
    columns = torch.randn(2, 4, generator=g, dtype=F64)
    x0 = columns.repeat_interleave(7, dim=-1)
    shared = run(convolution(7, 4, 1.6), x0, 8, {"rho": "rho", "rough": rough}, samples=3000, seed=6)
    assert float(shared.rough.max()) < 1e-12
    fresh = run(convolution(7, 4, 1.6, kernels="fresh"), x0, 8, {"rough": rough}, samples=20, seed=6)
    assert float(fresh.rough.isel(depth=-1).min()) > 1e-3
    dense = run(Dense(4, "tanh", 1.6, 0.3), columns, 8, ["rho"], samples=3000, seed=7)
    for depth in (1, 4, 8):
        a, b = (d.rho.isel(input=1).sel(depth=depth).values for d in (shared, dense))
        assert_within_errors(a.mean(), a.std() / 3000**0.5, b.mean(), b.std() / 3000**0.5)
        assert_within_errors((a > 0.2).mean(), 0.5 / 3000**0.5, (b > 0.2).mean(), 0.5 / 3000**0.5)


def test_two_dimensions_and_zero_padding_against_plain_arithmetic():
    for padding in ("circular", "zeros"):
        layer = CircularConv2d((4, 3), channels=2, kernel=3, activation="erf", weight_std=1.2, bias_std=0.2, padding=padding)
        x0 = torch.randn(3, 24, generator=torch.Generator().manual_seed(1), dtype=F64)
        ds = run(layer, x0, 2, {"local_rho": "local_rho", "variance": "variance", "x": lambda x: x}, samples=2, seed=3)
        x = torch.as_tensor(ds.x.values[:, -1]).reshape(2, 3, 2, 4, 3)
        image = torch.nn.functional.pad(x.flatten(0, 1), (1, 1, 1, 1), mode="circular" if padding == "circular" else "constant")
        patches = torch.nn.functional.unfold(image, 3).reshape(2, 3, 18, 12)
        gram = 1.2**2 * torch.einsum("sakp,sbkp->sabp", patches, patches) / 18 + 0.2**2
        c = gram[:, 0] / torch.sqrt(gram[:, 0, 0].unsqueeze(1) * torch.diagonal(gram, dim1=1, dim2=2).movedim(-1, 1))
        assert np.allclose(ds.local_rho.values[:, -1, 1:], (1 - c)[:, 1:], atol=1e-12)
        assert np.allclose(ds.variance.values[:, -1], torch.diagonal(gram, dim1=1, dim2=2).mean(1), rtol=1e-12)
        assert ds.local_rho.dims == ("sample", "depth", "input", "site")


# --- infinitely many channels --------------------------------------------------------------------------------------------


@pytest.mark.statement("prop-wide-channel-limit")
@pytest.mark.parametrize(("kernels", "channels", "samples"), [("shared", 128, 400), ("fresh", 64, 128)])
def test_many_channels_follow_the_reaction_diffusion_map(kernels, channels, samples):
    """Three layers from a start of known second moments; finitely many channels shift the mean by a few parts in C."""
    sites, depth, weight, bias = 8, 3, 1.5, 0.3
    q = meanfield.fixed_point("tanh", weight, bias).variance
    start = np.array([0.0, 0.0, 0.0, 0.9, 0.4, 0.0, 0.0, 0.0])
    limit = meanfield.rho_field("tanh", start, weight, bias, depth, variance=q)
    # Evenly scattered normal pairs as channels: their second moments are those of the law to about one percent.
    points = torch.quasirandom.SobolEngine(2, scramble=True, seed=1).draw(channels, dtype=F64).clamp(1e-6, 1 - 1e-6)
    u, v = torch.special.ndtri(points).T.unsqueeze(-1)
    rho = torch.as_tensor(start)
    h = math.sqrt(q) * torch.stack([u.expand(-1, sites), (1 - rho) * u + torch.sqrt(rho * (2 - rho)) * v])
    ds = run(convolution(sites, channels, weight, bias, kernels), torch.tanh(h).flatten(1), depth - 1, ["local_rho"], samples=samples, seed=8)
    field = ds.local_rho.isel(input=1)  # depth 0 shows what the first layer generates: one step of the map
    gap, se = field.mean("sample").values - limit[1:], field.std("sample").values / samples**0.5
    assert (np.abs(gap) <= 4 * se + 4 / channels * limit[1:]).all()
    assert (gap[:, limit[1:].sum(0) == 0] == 0).all()
    assert (limit[-1] > 0.02).sum() >= 6  # the tolerance is a small part of the limit nearly everywhere


def test_homogeneous_fields_follow_the_map_of_dense_layers():
    field = meanfield.rho_field("tanh", np.full(5, 0.5), 1.395584, 0.3, 100)
    rho = 0.5
    for depth in range(1, 101):
        rho = meanfield.rho_map("tanh", rho, 1.395584, 0.3)
        if depth in (1, 10, 100):
            assert np.allclose(field[depth], rho, rtol=1e-12)
    # The reference value of the fact sheet at l = 100.
    assert criticality.metric_factors("tanh", 0.3).curvature * 100 * rho == pytest.approx(0.98843, abs=6e-5)


def test_a_front_spreads_mass_as_the_kernel_does():
    """Without a reaction (small field, chi = 1) the map only diffuses: mean square 2/3 per layer, mass kept."""
    start = np.zeros(41)
    start[20] = 1e-9
    field = meanfield.rho_field("tanh", start, meanfield.critical_weight_std("tanh", 0.3), 0.3, 12)
    away = (np.arange(41) - 20) ** 2
    assert field[12].sum() == pytest.approx(1e-9, rel=1e-6)
    assert (field[12] @ away) / field[12].sum() == pytest.approx(12 * 2 / 3, rel=1e-6)


def test_bad_arguments_of_the_field():
    with pytest.raises(ValueError, match="kernel must be odd"):
        meanfield.rho_field("tanh", np.zeros(4), 1.0, 0.3, kernel=2)
    with pytest.raises(ValueError, match="rho must have shape"):
        meanfield.rho_field("tanh", np.zeros((2, 2)), 1.0, 0.3)


# --- common noise --------------------------------------------------------------------------------------------------------


@pytest.mark.statement("prop-common-noise")
@each_kind
def test_relative_variance_of_one_layer(kernels):
    """Mean over sites and channels of the squared difference of pre-activations, given the layer below."""
    channels, samples = 3, 40_000 if kernels == "shared" else 4000
    for size in (8, 64):
        g = torch.Generator().manual_seed(size)
        d = torch.randn(1, channels * size, generator=g, dtype=F64)
        layer = convolution(size, channels, 1.3, 0.0, kernels, activation="identity")
        ds = run(layer, d, 1, {"power": lambda x: x[:, 0].square().mean(-1)}, record=[1], samples=samples, seed=9)
        power = ds.power.values.ravel()
        patches = layer.patches(d)[0]
        if kernels == "shared":
            moment = patches @ patches.mT
            exact = 2 / channels * float(moment.square().sum() / moment.trace() ** 2)
            assert exact >= 2 / (3 * channels**2)
        else:
            sizes = patches.square().sum(0)
            exact = 2 / channels * float(sizes.square().sum() / sizes.sum() ** 2)
            assert exact <= 2 / (channels * size) * 2
        relative = (power / power.mean() - 1) ** 2
        assert_within_errors(relative.mean(), relative.std() / samples**0.5, exact)


# --- reference values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "weight_std", "background", "reference", "se"), [
    (4, 1.96, "homogeneous", -0.143, 0.011), (4, 1.96, "inhomogeneous", 0.126, 0.048), (8, 1.61, "homogeneous", -0.018, 0.006)])
def test_growth_of_an_infinitesimal_difference(channels, weight_std, background, reference, se):
    """Per layer, of the logarithm of the order parameter, with a shared kernel."""
    size, samples, window = (30, 48, (50, 400)) if background == "homogeneous" else (300, 16, (100, 250))
    x0 = percolation.input_pair(size, channels, background, amplitude=1e-300)
    ds = run(convolution(size, channels, weight_std), x0, window[1], ["log_rho"], record=window, samples=samples, seed=10)
    rate = ds.log_rho.isel(input=1).diff("depth").values.ravel() / (window[1] - window[0])
    assert_within_errors(rate.mean(), rate.std(ddof=1) / samples**0.5, reference, se)


def test_fresh_kernels_have_exponent_zero_where_the_fact_sheet_says():
    """Two channels, weight_std 1.548(2): the slope in weight_std is about one, so its error adds 0.002."""
    x0 = percolation.input_pair(60, 2, amplitude=1e-300)
    ds = run(convolution(60, 2, 1.548, kernels="fresh"), x0, 300, ["log_rho"], record=[50, 300], samples=24, seed=11)
    rate = ds.log_rho.isel(input=1).diff("depth").values.ravel() / 250
    assert_within_errors(rate.mean(), rate.std(ddof=1) / 24**0.5, 0.0, 0.004)


# --- behaviour -----------------------------------------------------------------------------------------------------------


@each_kind
def test_results_do_not_depend_on_the_other_observers(kernels):
    layer, x0 = convolution(12, 3, kernels=kernels), percolation.input_pair(12, 3, seed=2)
    fields = run(layer, x0, 6, ["local_rho", "log_distance"], samples=9, seed=1)
    plain = run(layer, x0, 6, ["log_distance"], samples=9, seed=1)
    assert np.allclose(fields.log_distance, plain.log_distance, atol=1e-10)
    assert np.allclose(fields.local_rho.mean("site"), run(layer, x0, 6, ["rho"], samples=9, seed=1).rho)


def test_blocks_and_devices(tmp_path):
    layer, x0 = convolution(50, 4), percolation.input_pair(50, 4, dtype=torch.float32)
    with no_implicit_device():
        ds = run(layer, x0, 3, ["local_rho", "rho", "variance", "correlation", "log_rho", "local_log_rho"], samples=500)
    assert ds.rho.isel(input=1, depth=-1).std() > 0
    ds.to_netcdf(tmp_path / "field.nc", engine="h5netcdf")
    assert layer.load(2) == 2 * 50 * 12 and convolution(50, 20, kernels="fresh").load(2) == 50 * 20 * 60


def test_unbiased_rectifiers_have_a_field_too():
    layer = CircularConv1d(8, 3, 3, "relu", "he")
    ds = run(layer, percolation.input_pair(8, 3), 5, ["local_rho", "rho"], samples=4)
    assert np.isfinite(ds.rho).all() and (ds.local_rho.isel(input=1) > 0).any()


def test_other_layers_are_refused():
    with pytest.raises(ValueError, match="need a convolution"):
        run(Dense(8), torch.randn(2, 8, dtype=F64), 1, ["local_rho"], samples=2)

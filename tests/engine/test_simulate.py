"""The engine against closed forms, against itself by another route, and against exact arithmetic."""

from __future__ import annotations

import _thread
import json
import math
import signal
import threading

import mpmath
import numpy as np
import pytest
import torch
import xarray
from scipy import stats
from torch._subclasses.fake_tensor import FakeTensorMode

from deeplimits import _runs, moments
from deeplimits.engine import simulate
from deeplimits.engine.run import _Block, _plan
from deeplimits.engine.state import advance, begin
from deeplimits.engine.streams import block_sizes, stream
from deeplimits.layers import Dense, Function, Layer
from tests.support import no_implicit_device

F64 = torch.float64


def inputs(width: int, count: int = 2, dtype: torch.dtype = F64, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def run(layer, x0, depth, observe, **options):
    return simulate(layer, x0, depth, observe, progress=False, **options)


def agrees(values: np.ndarray, reference: float, sigmas: float = 4.0) -> None:
    se = values.std(ddof=1) / math.sqrt(values.size)
    assert abs(values.mean() - reference) <= sigmas * se, (values.mean(), reference, se)


# --- closed forms ----------------------------------------------------------------------------------------------------


@pytest.mark.statement("thm-log-norm-walk")
@pytest.mark.parametrize("activation, slope, weights", [("leaky_relu", 0.5, "gaussian"), ("leaky_relu", 0.1, "orthogonal"), ("identity", 1.0, "gaussian")])
@pytest.mark.parametrize("route", ["law", "weights"])
def test_log_norm_is_a_random_walk_with_the_exact_mean_and_variance(activation, slope, weights, route):
    layer = Dense(8, activation, 1.1, weights=weights, slope=slope if activation == "leaky_relu" else None)
    ds = run(layer, inputs(8, 1), 40, ["log_norm"], record=[0, 40], samples=2000, route=route, seed=5)
    gain = ds.log_norm.diff("depth").values.ravel()
    mean, variance = moments.mean_log_square(8, slope), moments.variance_log_square(8, slope)
    if weights == "orthogonal":  # the chi-square factor of the Gaussian length drops out
        mean, variance = mean - math.log(2) - float(mpmath.digamma(4)), variance - float(mpmath.psi(1, 4))
        exponent = math.log(1.1) + mean / 2
    else:
        exponent = math.log(1.1) + (mean - math.log(8)) / 2
    agrees(gain, 40 * exponent)
    agrees((gain - gain.mean()) ** 2 * gain.size / (gain.size - 1), 40 * variance / 4)


@pytest.mark.statement("prop-relu-death")
@pytest.mark.parametrize("width, exact", [(2, 0.05631), (3, 0.26308)])
@pytest.mark.parametrize("route", ["law", "weights"])
def test_rectified_networks_die_with_probability_two_to_the_minus_width(width, exact, route):
    ds = run(Dense(width), inputs(width), 10, ["alive", "log_norm"], record=[10], samples=20_000, route=route, seed=1)
    for index in (0, 1):  # the second input is carried as a difference, and must die just as exactly
        agrees(ds.alive.isel(input=index).values.ravel().astype(float), exact)
        assert np.array_equal(np.isneginf(ds.log_norm.isel(input=index).values), ~ds.alive.isel(input=index).values)


@pytest.mark.parametrize("route", ["law", "weights"])
def test_angles_of_a_narrow_rectified_network_collapse_at_the_exact_rate(route):
    """A single shared active unit makes the angle exactly zero; left to rounding, the rate comes out as -0.266."""
    x0 = inputs(8)
    x0[1] = x0[0] + 1e-12 * x0[1]
    ds = run(Dense(8), x0, 61, ["log_angle"], record=[1, 61], samples=6000, route=route, seed=2)
    gain = ds.log_angle.isel(input=1).diff("depth").values.ravel() / 60
    survivors = gain[np.isfinite(gain)]
    # Each layer kills with probability 1/256 and leaves a single active unit with 8/256.
    agrees(np.isfinite(gain).astype(float), (1 - 9 / 256) ** 61)
    agrees(survivors, -0.25034560)


@pytest.mark.statement("prop-angle-collapse")
def test_distances_of_a_linear_network_are_right_far_below_the_smallest_double():
    ds = run(Dense(16, "identity", 0.9), inputs(16), 6000, ["log_distance"], record=[0, 6000], samples=400, seed=3)
    values = ds.log_distance.isel(input=1).diff("depth").values.ravel()
    assert values.max() < math.log(1e-300)
    agrees(values, 6000 * -0.1372605475)
    assert abs(values.var(ddof=1) / (6000 * 0.0332842537) - 1) < 4 * math.sqrt(2 / 400)


def test_a_vanishing_smooth_network_keeps_its_linear_exponent():
    """Bias-free tanh at weight_std 0.5 leaves the doubles after a thousand layers; its logarithm must go on."""
    ds = run(Dense(16, "tanh", 0.5), 0.01 * inputs(16), 2000, ["log_norm", "log_distance"], record=[500, 2000], samples=300, seed=4)
    slope = math.log(0.5) + 0.5 * (math.log(2) + float(mpmath.digamma(8)) - math.log(16))
    for name, index in (("log_norm", 0), ("log_norm", 1), ("log_distance", 1)):
        agrees(ds[name].isel(input=index).diff("depth").values.ravel(), 1500 * slope)


# --- exact arithmetic ------------------------------------------------------------------------------------------------


def exact_pair(plan, depth: int, phi) -> tuple[list, list]:
    """The same network in sixty digits, with the weights of the engine's own streams."""
    mpmath.mp.dps = 60
    block = _Block(plan, 0, plan.blocks[0], None, None)
    points = [mpmath.matrix([mpmath.mpf(float(v)) for v in row]) for row in plan.x0]
    for layer in range(1, depth + 1):
        drawn = block.draw(layer, None)
        w = mpmath.matrix(drawn._draw[0].tolist()) * mpmath.mpf(drawn._scale)
        bias = mpmath.matrix(drawn.bias[0].tolist()) if drawn.bias is not None else mpmath.matrix(w.rows, 1)
        points = [(w * p + bias).apply(phi) for p in points]
    return points


@pytest.mark.parametrize("activation, phi", [("tanh", mpmath.tanh), ("relu", lambda u: max(u, mpmath.mpf(0))),
                                             ("erf", mpmath.erf), ("sin", mpmath.sin), ("abs", abs)])
@pytest.mark.parametrize("bias_std", [0.0, 0.3])
def test_weights_route_agrees_with_sixty_digits(activation, phi, bias_std):
    x0 = inputs(4)
    x0[1] = x0[0] * (1 + 2.0**-20)
    x0[1, 0] += 2.0**-30
    layer = Dense(4, activation, 0.8, bias_std)
    options = dict(record=[25], samples=1, seed=11, order="forward", route="weights", rng="cpu", device=None, dtype=None)
    ds = run(layer, x0, 25, ["log_norm", "log_distance", "log_angle", "rho"], **{k: options[k] for k in ("record", "samples", "seed", "route")})
    plan = _plan(layer, x0, 25, ["log_norm"], **options)
    x, y = exact_pair(plan, 25, phi)
    norm, other, gap = mpmath.norm(x), mpmath.norm(y), mpmath.norm(y - x)
    assert float(mpmath.log(norm)) == pytest.approx(ds.log_norm.values.ravel()[0], abs=1e-10)
    assert float(mpmath.log(gap)) == pytest.approx(ds.log_distance.values.ravel()[1], abs=1e-6)
    sine = mpmath.norm(y / other - x / norm) / 2
    if bias_std == 0 and activation in ("relu", "abs"):
        expected = -math.inf if sine < mpmath.mpf(10) ** -50 else float(mpmath.log(2 * mpmath.asin(sine)))
        assert ds.log_angle.values.ravel()[1] == pytest.approx(expected, abs=1e-6)
    a, b, c = ((0.64 * (u.T * v)[0] / 4 + bias_std**2) for u, v in ((x, x), (y, y), (x, y)))
    assert float(1 - c / mpmath.sqrt(a * b)) == pytest.approx(ds.rho.values.ravel()[1], rel=1e-5, abs=1e-50)


# --- two routes, two orders -------------------------------------------------------------------------------------------


@pytest.mark.statement("prop-law-route")
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("activation, bias_std, fan_in", [("relu", 0.0, 8), ("tanh", 0.4, 8), ("leaky_relu", 0.2, 5)])
def test_the_two_routes_have_the_same_law(weights, activation, bias_std, fan_in):
    layer = Dense(8, activation, 1.3, bias_std, weights)
    x0 = inputs(fan_in, 3)
    law, explicit = (run(layer, x0, 4, ["log_norm", "log_distance", "angle"], record=[4], samples=3000, route=r, seed=s)
                     for r, s in (("law", 1), ("weights", 2)))
    for name in law.data_vars:
        for index in (1, 2):
            a, b = (d[name].isel(input=index).values.ravel() for d in (law, explicit))
            a, b = a[np.isfinite(a)], b[np.isfinite(b)]
            assert stats.ks_2samp(a, b).pvalue > 1e-4, (name, index)
            assert abs(a.mean() - b.mean()) <= 4 * math.sqrt(a.var() / a.size + b.var() / b.size)
    # The joint law of the inputs, not only the marginals.
    products = [(d.log_norm.isel(input=0) - d.log_norm.isel(input=2)).values.ravel() for d in (law, explicit)]
    products = [p[np.isfinite(p)] for p in products]
    assert stats.ks_2samp(*products).pvalue > 1e-4


def test_backward_orbits_put_the_new_layer_innermost():
    layer, x0 = Dense(6, "tanh", 0.7, 0.5), inputs(6, 1)
    ds = run(layer, x0, 5, {"x": lambda x: x[:, 0]}, samples=3, order="backward", seed=9)
    plan = _plan(layer, x0, 5, ["log_norm"], None, 3, "backward", "auto", 9, "cpu", None, None)
    block = _Block(plan, 0, 3, None, None)
    maps = [block.draw(k, None) for k in range(1, 6)]
    for n in range(6):
        x = x0.expand(3, 1, 6)
        for T in reversed(maps[:n]):
            x = T(x)
        assert torch.allclose(torch.as_tensor(ds.x.sel(depth=n).values), x[:, 0], atol=1e-13)


@pytest.mark.statement("thm-letac")
def test_backward_orbits_converge_and_forward_orbits_wander():
    layer, x0 = Dense(8, "relu", 0.6, 1.0), inputs(8, 1)
    steps = {}
    for order in ("forward", "backward"):
        ds = run(layer, x0, 51, {"x": lambda x: x[:, 0]}, record=[20, 21, 50, 51], samples=200, order=order, seed=6)
        moves = ds.x.diff("depth").sel(depth=[21, 51])
        steps[order] = np.sqrt((moves**2).sum("x_0" if "x_0" in moves.dims else moves.dims[-1])).mean("sample").values
    assert steps["forward"] == pytest.approx([2.37, 2.41], abs=0.25)
    assert steps["backward"][0] < 1e-6 and steps["backward"][1] < 1e-14


# --- random streams ----------------------------------------------------------------------------------------------------


def test_results_depend_neither_on_threads_nor_on_other_samples(monkeypatch):
    layer, x0 = Dense(64, "relu"), inputs(64)
    runs = []
    for cores in (1, 3):
        monkeypatch.setattr(_runs, "cores", lambda cores=cores: cores)
        runs.append(run(layer, x0, 6, ["log_norm", "angle"], samples=5000, seed=1))
    many, again = runs
    assert many.equals(again)
    first = block_sizes(5000, 128, "cpu")[0]
    assert first < 5000
    assert run(layer, x0, 6, ["log_norm", "angle"], samples=first, seed=1).equals(many.isel(sample=slice(first)))
    assert not many.log_norm.equals(run(layer, x0, 6, ["log_norm"], samples=5000, seed=2).log_norm)


def test_streams_are_keyed_by_all_three_numbers():
    device = torch.device("cpu")
    draws = {key: tuple(torch.randn(4, generator=stream(*key, device)).tolist()) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0)]}
    assert len(set(draws.values())) == len(draws)
    assert draws[0, 1, 0] == tuple(torch.randn(4, generator=stream(0, 1, 0, device)).tolist())


# --- what comes back ----------------------------------------------------------------------------------------------------


def test_the_dataset_carries_units_and_provenance_and_survives_netcdf(tmp_path):
    ds = run(Dense(8), inputs(5, 3), 4, ["log_norm", "rho"], samples=10, seed=1)
    assert ds.log_norm.attrs["units"] == "nat" and ds.rho.attrs["refers_to"].startswith("pre-activations")
    told = json.loads(ds.attrs["provenance"])
    assert told["arguments"]["layer"]["weight_std"] == pytest.approx(math.sqrt(2)) and told["versions"]["torch"]
    ds.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    back = xarray.load_dataset(tmp_path / "run.nc", engine="h5netcdf")
    assert back.equals(ds) and back.attrs["provenance"] == ds.attrs["provenance"]


def test_the_reference_input_is_trivial_and_depth_zero_is_the_input():
    x0 = inputs(8, 3)
    ds = run(Dense(8, "tanh", 1.2, 0.2), x0, 3, ["log_norm", "log_distance", "angle", "rho", "correlation", "variance"], samples=4)
    assert np.isneginf(ds.log_distance.isel(input=0)).all() and (ds.angle.isel(input=0) == 0).all() and (ds.correlation.isel(input=0) == 1).all()
    assert ds.log_norm.isel(depth=0, sample=0).values == pytest.approx(torch.log(x0.norm(dim=1)).numpy(), rel=1e-12)
    gaps = torch.log((x0[1:] - x0[0]).norm(dim=1)).numpy()
    assert ds.log_distance.isel(depth=0, sample=0, input=slice(1, None)).values == pytest.approx(gaps, rel=1e-12)
    gram = 1.2**2 * x0 @ x0.T / 8 + 0.04
    assert ds.variance.isel(depth=0, sample=0).values == pytest.approx(torch.diag(gram).numpy(), rel=1e-12)
    assert ds.correlation.isel(depth=0, sample=0).values == pytest.approx((gram[0] / torch.sqrt(torch.diag(gram) * gram[0, 0])).numpy(), rel=1e-12)


def test_inputs_of_very_different_lengths_keep_their_precision():
    x0 = torch.stack([inputs(8)[0], 1e-30 * inputs(8)[1]])
    ds = run(Dense(8, "leaky_relu", slope=0.5), x0, 20, ["log_norm"], samples=500, seed=1)
    gain = ds.log_norm.diff("depth").sum("depth")
    for index in (0, 1):
        agrees(gain.isel(input=index).values, 20 * -0.09554645)


def test_callable_observers_see_the_points_of_both_kinds_of_run():
    x0 = inputs(6)
    alone = run(Dense(6), x0, 5, {"points": lambda x: x}, samples=3, route="weights", seed=2)
    beside = run(Dense(6), x0, 5, ["log_norm", lambda x: x], samples=3, route="weights", seed=2)
    assert np.allclose(alone.points, beside["<lambda>"], atol=1e-12)
    assert np.allclose(np.log(np.linalg.norm(alone.points, axis=-1)), beside.log_norm, atol=1e-10)


def test_layers_on_matrices_run_with_callables():
    class Congruence(Layer):
        width = fan_in = 3

        def _sample(self, generator, samples, dtype, device, state):
            m = torch.randn(samples, 1, 3, 3, generator=generator, dtype=dtype, device=device)
            return Function(lambda a: m @ a @ m.mT)

    ds = run(Congruence(), torch.eye(3, dtype=F64)[None], 4, {"det": lambda a: torch.linalg.det(a)}, samples=5)
    assert ds.det.shape == (5, 5, 1) and (ds.det.values > 0).all()


# --- long runs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def interruptible():
    """Python's own answer to an interrupt, which a shell switches off for programs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_returns_what_was_recorded(interruptible):
    seen = []

    def watch(x):
        seen.append(threading.current_thread().name)
        if len(seen) == 4:
            _thread.interrupt_main()
        return x[:, 0, 0]

    ds = run(Dense(32), inputs(32), 100_000, {"watch": watch}, record=list(range(0, 100_000, 50)), samples=8)
    assert ds.attrs["interrupted"] == 1 and 1 <= ds.sizes["depth"] < 2000
    assert np.isfinite(ds.watch.isel(depth=0)).all()
    ds.watch.isel(sample=0).mean()


def test_an_error_in_an_observer_is_raised_and_threads_are_restored():
    threads = torch.get_num_threads()
    with pytest.raises(ValueError, match="observe: bad must map"):
        run(Dense(8), inputs(8), 3, {"bad": lambda x: x.sum()}, samples=4)
    assert torch.get_num_threads() == threads


# --- device cleanliness ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [Dense(8, "relu"), Dense(8, "tanh", 0.9, 0.3), Dense(8, "abs", 1.0, weights="orthogonal"), Dense(8, "tanh", 0.9)])
@pytest.mark.parametrize("route", ["law", "weights"])
def test_no_tensor_is_made_without_a_device(layer, route):
    x0 = inputs(8, 3)
    with no_implicit_device():
        run(layer, x0, 3, ["log_norm", "log_distance", "angle", "log_angle", "rho", "variance", "alive"], samples=5, route=route)


@pytest.mark.parametrize("layer", [Dense(8, "relu"), Dense(8, "tanh", 0.9, 0.3), Dense(8, "hardtanh", 0.9)])
def test_the_kernel_has_no_branch_on_values(layer):
    """Fake tensors have no values: any branch on one raises."""
    with FakeTensorMode():
        x0 = torch.randn(3, 8, dtype=torch.float32, device="cpu")
        state = begin(x0, 4, layer.homogeneous)
        for maker in (layer.sample, layer.law):
            state = advance(maker(None, samples=4, dtype=torch.float32, device="cpu"), state, homogeneous=layer.homogeneous, fixes_zero=layer.fixes_zero)
        assert state.x.shape == (4, 1, 8)


# --- float32 ----------------------------------------------------------------------------------------------------------------


def test_single_precision_follows_the_same_closed_form_far_below_its_range():
    ds = run(Dense(16, "identity", 0.9), inputs(16, dtype=torch.float32), 3000, ["log_distance"], record=[0, 3000], samples=1000, seed=3)
    agrees(ds.log_distance.isel(input=1).diff("depth").values.ravel(), 3000 * -0.1372605475)


# --- bad input ----------------------------------------------------------------------------------------------------------------

GOOD = dict(layer=Dense(4), x0=inputs(4), depth=3, observe=["log_norm"])


@pytest.mark.parametrize("change, error, words", [
    (dict(layer="dense"), TypeError, "layer must be a random layer"),
    (dict(x0=torch.ones(4, dtype=F64)), ValueError, r"x0 must have shape \(B, N\)"),
    (dict(x0=torch.ones(2, 4, dtype=torch.int64)), TypeError, "x0 must have dtype float32 or float64"),
    (dict(x0=torch.full((2, 4), math.nan)), ValueError, "x0 must be finite"),
    (dict(depth=0), ValueError, "depth must be a whole number of at least 1"),
    (dict(depth=2.5), TypeError, "depth must be a whole number"),
    (dict(samples=0), ValueError, "samples must be"),
    (dict(observe=[]), ValueError, "observe must name"),
    (dict(observe=["norm"]), ValueError, "observe must be one of 'log_norm'"),
    (dict(observe=[3]), TypeError, "observe must hold names or callables"),
    (dict(record=[1, 9]), ValueError, "record must hold whole depths between 0 and depth=3"),
    (dict(record=[0.5]), ValueError, "record must hold whole depths"),
    (dict(order="sideways"), ValueError, "order must be one of 'forward', 'backward'"),
    (dict(order="backward", route="law"), ValueError, "order='backward' needs route='weights'"),
    (dict(order="backward", x0=inputs(7)), ValueError, "order='backward' needs a square layer"),
    (dict(route="magic"), ValueError, "route must be one of"),
    (dict(layer=Dense(4, weight_std="torch"), route="law"), ValueError, "has no law route"),
    (dict(rng="quantum"), ValueError, "rng must be one of"),
    (dict(seed=-1), ValueError, "seed must be a whole number of at least 0"),
    (dict(dtype=torch.float16), TypeError, "dtype must be torch.float32 or torch.float64"),
])
def test_bad_arguments_say_what_would_work(change, error, words):
    with pytest.raises(error, match=words):
        simulate(**{**GOOD, **change}, progress=False)

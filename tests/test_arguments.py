"""Bad arguments, over the whole package: an error names the argument, and nothing passes in silence; what the reference shows can be called."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import deeplimits as dl

PAGES = "\n".join(path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parents[1] / "book").glob("api-*.md")))
MODULES = [name for name in dl.__all__ if isinstance(getattr(dl, name), ModuleType)]
F64 = torch.float64


def public(module: str) -> dict[str, Any]:
    found = importlib.import_module(f"deeplimits.{module}")
    names = getattr(found, "__all__", None) or [
        name for name, value in vars(found).items() if not name.startswith("_") and getattr(value, "__module__", "") == found.__name__]
    return {name: getattr(found, name) for name in names}


# --- the reference ---------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_shows_every_public_name(module: str) -> None:
    assert f"automodule:: deeplimits.{module}\n" in PAGES
    for name, value in public(module).items():
        if not (inspect.isclass(value) or inspect.isfunction(inspect.unwrap(value))):  # the rest autodoc passes over
            assert re.search(rf"data:: (?:deeplimits\.{module}\.)?{name}\n", PAGES), f"{module}.{name} is public and stands on no page"


def test_the_reference_shows_the_top_level() -> None:
    page = (Path(__file__).parents[1] / "book/api.md").read_text(encoding="utf-8")
    missing = [name for name in dl.__all__ if name not in MODULES and not re.search(rf"\bdeeplimits\.{name}$", page, re.M)]
    assert not missing


def test_metrics_have_whole_first_lines() -> None:
    """In the description of a constant the extension napoleon takes what stands before a colon for its type."""
    for name, metric in public("metrics").items():
        if isinstance(metric, dl.metrics.Metric):
            first = metric.__doc__.partition("\n")[0]
            assert ":" not in re.sub(r":\w+:`[^`]*`", "", first), f"{name}: {first}"


def examples(module: str) -> Iterator[tuple[str, str]]:
    for name, value in public(module).items():
        parts = {name: value}
        if inspect.isclass(value):
            parts |= {f"{name}.{k}": getattr(v, "fget", None) or getattr(v, "__func__", v) for k, v in vars(value).items() if not k.startswith("_")}
        for title, part in parts.items():
            lines = re.findall(r"^\s*(?:>>>|\.\.\.) ?(.*)$", inspect.cleandoc(getattr(part, "__doc__", None) or ""), re.M)
            if lines and ">>>" in part.__doc__:
                yield title, "\n".join(lines)


@pytest.mark.parametrize("module", MODULES)
def test_examples_need_public_names_only(module: str) -> None:
    """A reader pastes an example after `from deeplimits.<module> import *` and the usual four imports."""
    known = {*dir(builtins), *public(module), "math", "torch", "np", "xr"}
    for title, source in examples(module):
        tree = ast.parse(source)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        given = {n.id for n in names if not isinstance(n.ctx, ast.Load)}
        given |= {a.arg for node in ast.walk(tree) if isinstance(node, ast.arguments) for a in (*node.args, *node.kwonlyargs)}
        given |= {node.name for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        given |= {(a.asname or a.name).partition(".")[0] for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) for a in node.names}
        missing = {n.id for n in names} - given - known
        assert not missing, f"the example of {module}.{title} uses {sorted(missing)} and does not import it"


def test_every_activation_stands_in_the_reference() -> None:
    comment = re.search(r"((?:^#:.*\n)+)NAMES = ", Path(dl.activations.__file__).read_text(encoding="utf-8"), re.M)[1]
    assert set(dl.activations.NAMES) <= set(re.findall(r"\w+", comment))


# --- seeds -----------------------------------------------------------------------------------------

LINEAR, CONE = dl.Dense(3, "identity", 0.9), dl.Positive(3)
RUN = {"log_rho": (("sample", "depth"), -np.arange(1.0, 41.0)[:, None] * np.arange(3) / 40)}


def ones(n: int = 3) -> torch.Tensor:
    return torch.ones(n, dtype=F64, device="cpu")


def told() -> xr.Dataset:
    told = np.arange(8)[:, None] > np.arange(8)[None]
    return xr.Dataset({"indicator": (("sample", "depth"), told)}, {"depth": np.arange(8)})


SEEDED: dict[str, Callable[[Any], Any]] = {
    "simulate": lambda seed: dl.simulate(LINEAR, ones().expand(2, 3), 2, samples=2, seed=seed, progress=False),
    "drift": lambda seed: dl.ergodic.drift(LINEAR, dl.metrics.lp(2), ones(), 2, 2, seed),
    "drift_curve": lambda seed: dl.ergodic.drift_curve(LINEAR, dl.metrics.lp(2), ones(), [1, 2], 2, seed),
    "successive_distances": lambda seed: dl.ergodic.successive_distances(LINEAR, ones(), [1, 2], 2, seed),
    "lyapunov_spectrum": lambda seed: dl.ergodic.lyapunov_spectrum(LINEAR, 2, 2, seed),
    "product_log_singular_values": lambda seed: dl.ergodic.product_log_singular_values(LINEAR, 2, 2, seed),
    "followed_functional": lambda seed: dl.ergodic.followed_functional(dl.Congruence(2), [1, 2], 2, seed, extra=1),
    "birkhoff_bound": lambda seed: dl.ergodic.birkhoff_bound(CONE, 3, seed),
    "cone_distances": lambda seed: dl.ergodic.cone_distances(CONE, torch.stack([ones(), 1 + torch.arange(3, device="cpu")]), 2, 2, seed),
    "locate": lambda seed: dl.cutoff.locate(told(), bootstrap=9, seed=seed),
    "check_semi_invariance": lambda seed: dl.check_semi_invariance(LINEAR, dl.metrics.lp(2), 9, seed, steps=1),
    "summarize": lambda seed: dl.criticality.summarize(xr.Dataset(RUN, {"depth": [1, 2, 3]}), ["mean"], bootstrap=20, seed=seed),
    "averages": lambda seed: dl.percolation.averages(xr.Dataset({"density": (("sample", "depth"), np.ones((3, 2)))}, {"depth": [1, 2]}), seed=seed),
    "batch_order": lambda seed: dl.training.batch_order(seed, 1, 4),
    "random_starts": lambda seed: dl.topology.random_starts(2, 2, seed=seed),
    "outcomes": lambda seed: dl.topology.outcomes(2, steps=2, seed=seed),
    "law_rank": lambda seed: dl.topology.law_rank(2, 2, 1, seed=seed),
    "initial_balances": lambda seed: dl.topology.initial_balances("he", 2, 2, 1, samples=3, seed=seed),
    "quadric_points": lambda seed: dl.topology.quadric_points(1.0, 2, 1, 3, seed=seed),
    "initial_weights": lambda seed: dl.masking.initial_weights(2, 2, seed),
    "draw": lambda seed: dl.masking.mask_law("bernoulli", 2, 0.5, 4).draw(seed, 0),
}


@pytest.mark.parametrize("name", SEEDED)
def test_seeds_are_whole_numbers(name: str) -> None:
    SEEDED[name](0)
    for seed in (-1, 1.5, math.nan, "x", True):
        with pytest.raises((TypeError, ValueError), match="seed must be a"):
            SEEDED[name](seed)


# --- arguments that once passed, or stopped deep inside ----------------------------------------------

KERNEL = torch.ones(1, 1, 3, device="cpu")
PREDICTION = dl.cutoff.predict(None, 1e-5, exponent=(-0.1, 0.03))


def linear(inputs: int, dtype: torch.dtype) -> torch.nn.Linear:
    return torch.nn.Linear(inputs, 3, device="cpu", dtype=dtype)


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "survival at NaN": (lambda: PREDICTION.survival(math.nan), "depths must be finite"),
    "survival at infinity": (lambda: PREDICTION.survival([1.0, math.inf]), "depths must be finite"),
    "angle beyond pi": (lambda: dl.moments.versine_excess(4.0), "theta must lie between"),
    "angle NaN": (lambda: dl.moments.versine_excess(math.nan), "theta must be finite"),
    "log_rho NaN": (lambda: dl.moments.difference_moment("tanh", 1.0, log_rho=math.nan), "log_rho must be finite"),
    "point as a list": (lambda: LINEAR.sample()([1.0, 1.0, 1.0]), "x must be a torch tensor"),
    "size 2.5": (lambda: dl.CircularConv1d(2.5), "size must be a whole number"),
    "kernel None": (lambda: dl.CircularConv2d(4, kernel=None), "kernel must be a whole number"),
    "size of an image": (lambda: dl.layers.spectral_norm(KERNEL, 2.5), "size must be a whole number"),
    "size of a padded image": (lambda: dl.layers.zero_padded_bound(KERNEL, 0), "size must be a whole number"),
    "kernel NaN": (lambda: dl.layers.spectral_norm(KERNEL * math.nan, 4), "kernel must be finite"),
    "kernel as a list": (lambda: dl.layers.zero_padded_bound([1.0], 4), "kernel must be a torch tensor"),
    "transition": (lambda: dl.Stationary([LINEAR], "x"), "transition must be a matrix of numbers"),
    "x0 None": (lambda: dl.simulate(LINEAR, None, 2, progress=False), "x0 must be a tensor"),
    "x0 without coordinates": (lambda: dl.simulate(LINEAR, torch.ones(2, 0, device="cpu"), 2, progress=False), r"x0 must have shape \(B, N\)"),
    "observe None": (lambda: dl.simulate(LINEAR, ones().expand(2, 3), 2, None, progress=False), "observe must hold names or callables"),
    "device of a run": (lambda: dl.simulate(LINEAR, ones().expand(2, 3), 2, device="nowhere", progress=False), "device 'nowhere' cannot be used"),
    "module of float32": (lambda: dl.check_semi_invariance(linear(3, torch.float32), dl.metrics.lp(2), 9, dim=3), r"module\.double\(\)"),
    "module of another size": (lambda: dl.check_semi_invariance(linear(2, F64), dl.metrics.lp(2), 9, dim=3), "dim=3"),
    "bootstrap of a family": (lambda: dl.cutoff.family({1: told(), 2: told()}, "k", bootstrap=1), "bootstrap must be a whole number of at least 2"),
}


PROFILE = xr.DataArray(np.exp(-np.arange(400.0) / 40), dims="depth", coords={"depth": np.arange(400.0)})
PROFILES = {40: PROFILE, 50: PROFILE}
WIDE = dl.criticality.finite_width("tanh", 0.3, 200, 1.45)
LAW_OF_Y = dl.criticality.stationary_law(1.5)
COMPLEX = np.array([[1.0, 0.5 + 1j], [0.5 - 1j, 1.0]])


def collapsing(**given: Any) -> Any:
    return dl.criticality.collapse(PROFILES, lambda n: 1 / n, lambda n: n, **given)


def located(pairs: Any) -> xr.Dataset:
    return dl.cutoff.family(PROFILES, "k", pairs=pairs)


def falling(**given: Any) -> xr.Dataset:
    walk = xr.Dataset({"log_d": (("sample", "depth"), -np.ones((2, 3)))}, {"depth": [0, 1, 2]})
    return dl.cutoff.survival(walk, "log_d", **given)


def images(gram: Any) -> np.ndarray:
    return dl.meanfield.gram_map("erf", gram, 1.0, 0.1)


BAD |= {
    # criticality
    "exponent of dying layers": (lambda: dl.criticality.tangent_exponent(dl.Dense(8, "relu"), samples=20), "layer must keep small differences"),
    "quantile 2": (lambda: LAW_OF_Y.quantile(2), "level must lie between 0 and 1"),
    "density at NaN": (lambda: LAW_OF_Y.density(math.nan), "y must be a real number"),
    "curve at None": (lambda: dl.criticality.universal_curve(None), "x must be a real number"),
    "curve at a word": (lambda: dl.criticality.universal_curve("x"), "x must be a real number"),
    "kinked curve at None": (lambda: dl.criticality.kinked_curve(None), "x must be a real number"),
    "logistic at None": (lambda: dl.criticality.logistic(None, 0.1, 0.2, 0.5), "depth must be a real number"),
    "derivative at None": (lambda: dl.criticality.derivative("tanh", 1, None), "h must be a real number"),
    "depth_power NaN": (lambda: collapsing(depth_power=math.nan), "depth_power must be finite"),
    "window of a collapse": (lambda: collapsing(window=[0.1]), "window must be a pair"),
    "window of widths": (lambda: dl.criticality.finite_size_collapse(PROFILES, window=[0.1]), "window must be a pair"),
    "smallest": (lambda: dl.criticality.finite_size_collapse(PROFILES, smallest="x"), "smallest must be a number"),
    "window of slopes": (lambda: dl.criticality.effective_exponent(PROFILE, window=[1.0]), "window must be a pair"),
    "depths of paths": (lambda: WIDE.rho_paths([0.0, 1.0]), "depths must be positive and increasing"),
    "paths to infinity": (lambda: WIDE.rho_paths([1.0, math.inf]), "depths must be positive and increasing, and finite"),
    "rho0 of paths": (lambda: WIDE.rho_paths([1.0], rho0=-1), "rho0 must be positive"),
    "depth of a mean": (lambda: WIDE.mean_rho(0), "depths must be positive"),
    # cutoff
    "limit at None": (lambda: dl.cutoff.limit_profile("kl", None), "c must be a real number"),
    "envelope of NaN": (lambda: dl.cutoff.envelope(xr.DataArray([1.0, math.nan], dims="depth")), "profile must not contain NaN"),
    "envelope of a number": (lambda: dl.cutoff.envelope(3), "profile must be a DataArray"),
    "survival of None": (lambda: dl.cutoff.survival(None, "log_distance", 0.1), "ds must be a Dataset"),
    "threshold as a word": (lambda: falling(threshold="x"), "threshold must be a number"),
    "log_threshold above the start": (lambda: falling(log_threshold=1.0), "log_threshold must lie below the starting value"),
    "one level": (lambda: located([(0.75,)]), "pairs must be pairs"),
    "pairs as a number": (lambda: located(3), "pairs must be pairs"),
    "pairs on one side": (lambda: located([(0.4, 0.3)]), "pairs must be pairs"),
    "no pairs": (lambda: located([]), "pairs must be pairs"),
    "collapse of none": (lambda: dl.cutoff.collapse({}, "k"), "profiles must hold at least one member"),
    "grid of NaN": (lambda: dl.cutoff.collapse(PROFILES, "k", grid=[math.nan]), "grid must be finite"),
    "along 3": (lambda: dl.cutoff.collapse(PROFILES, 3), "along must be a name"),
    "half an exponent": (lambda: dl.cutoff.predict(None, 1e-3, exponent=(1,)), "exponent must be a pair"),
    "log_threshold of a prediction": (lambda: dl.cutoff.predict(None, log_threshold=1.0, exponent=(-1, 1)), "log_threshold must lie below 0"),
    # meanfield
    "bias_std 1e-300": (lambda: dl.meanfield.fixed_point("tanh", 1.5, 1e-300), "bias_std must lie between"),
    "bias_std 1e300": (lambda: dl.meanfield.fixed_point("tanh", 1.5, 1e300), "bias_std must lie between"),
    "weight_std 1e300": (lambda: dl.meanfield.fixed_point("relu", 1e300), "weight_std must lie between"),
    "gram negative": (lambda: images([[-1.0]]), r"gram\[0, 0\] must be zero or positive"),
    "gram indefinite": (lambda: images([[1.0, 2.0], [2.0, 1.0]]), "gram, of the inputs 0 and 1: K must be positive"),
    "gram None": (lambda: images(None), "gram must be a real number"),
    "gram complex": (lambda: images(COMPLEX), "gram must be a real number"),
    "diagram without biases": (lambda: dl.meanfield.phase_diagram("tanh", [1.0], []), "bias_stds must be a list"),
    "diagram of a number": (lambda: dl.meanfield.phase_diagram("tanh", 1.0, [0.1]), "weight_stds must be a list"),
    # moments
    "critical at 1e300": (lambda: dl.moments.critical_weight_std("tanh", 1e300), "bias_std must lie between"),
    "covariance complex": (lambda: dl.moments.correlated_moment("erf", COMPLEX), "K must be a real number"),
    "expectation of None": (lambda: dl.moments.gaussian_expectation(None), "f must be a function"),
    # training
    "readout_std": (lambda: dl.training.initial_network(2, 4, readout_std=-1), "readout_std must be positive"),
    "dtype of a network": (lambda: dl.training.initial_network(2, 4, dtype=torch.int64), "dtype must be torch.float32 or torch.float64"),
    "device of a network": (lambda: dl.training.initial_network(2, 4, device="nowhere"), "device 'nowhere' cannot be used"),
}


CONES, TRIANGLE = dl.metrics.thompson, torch.eye(2, dtype=F64, device="cpu")
POINT, OUTSIDE = torch.zeros(2, dtype=F64, device="cpu"), torch.full((3,), -1.0, dtype=F64, device="cpu")
NORMAL = dl.metrics.Gaussian(POINT, TRIANGLE)
LAW = dl.masking.mask_law("bernoulli", 1, 0.5, 3)
ALONE = xr.Dataset({"log_norm": ("depth", [0.0])}, {"depth": [0]})
W, A = torch.ones(3, 2, dtype=F64, device="cpu"), ones()
LINES, LABELS, ON = torch.eye(2, dtype=F64, device="cpu"), ones(2), torch.ones(2, 3, dtype=F64, device="cpu")


def following(depths: Any) -> xr.Dataset:
    return dl.ergodic.followed_functional(dl.Congruence(2), depths, 2, extra=1)


def drifting(metric: Any = CONES, x0: Any = None, depths: Any = (1,)) -> xr.Dataset:
    return dl.ergodic.drift_curve(LINEAR, metric, ones() if x0 is None else x0, depths, 2)


def products(conjugate: Any) -> torch.Tensor:
    return dl.ergodic.product_log_singular_values(LINEAR, 2, 2, conjugate=conjugate)


def rounding(masks: Any = ON, **given: Any) -> torch.Tensor:
    return dl.masking.one_round(W, A, masks, LINES, LABELS, **({"lr": 0.1, "scale": 2.0} | given))


def stepping(weights: Any = W, signs: Any = A, gate: Any = ON, law: Any = LAW, lr: float = 0.1, scale: float = 2.0) -> torch.Tensor:
    return dl.masking.mean_step(weights, signs, gate, LINES, LABELS, law, lr, scale)


def training(**given: Any) -> xr.Dataset:
    return dl.masking.train(LINES, LABELS, 4, 2, 1, 0.5, 0.1, rounds=1, progress=False, **given)


def lazy() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.LazyLinear(3), torch.nn.ReLU(), linear(3, F64))


def deep() -> torch.nn.Module:
    one = torch.nn.Linear(3, 1, device="cpu", dtype=F64)
    return torch.nn.Sequential(linear(2, F64), torch.nn.ReLU(), linear(3, F64), torch.nn.ReLU(), one)


BAD |= {
    # ergodic
    "drift outside the domain": (lambda: drifting(x0=OUTSIDE), "x0 must have positive coordinates"),
    "drift of a batch": (lambda: drifting(x0=ones().expand(1, 3)), "x0 must be one point without batch dimensions"),
    "drift of a batch by a function": (lambda: drifting(lambda x, y: (x - y).norm(dim=-1), ones().expand(1, 3)), "x0 must be one point"),
    "drift without a metric": (lambda: dl.ergodic.drift(LINEAR, None, ones(), 2, 2), "metric must be a metric"),
    "drift at no depth": (lambda: drifting(depths=[]), "depths must be one or more strictly increasing numbers"),
    "spectrum from NaN": (lambda: dl.ergodic.lyapunov_spectrum(LINEAR, 2, 3, x0=ones() * math.nan), "x0 must be finite"),
    "spectrum from a list": (lambda: dl.ergodic.lyapunov_spectrum(LINEAR, 2, 3, x0=[1.0, 1.0, 1.0]), "x0 must be a torch tensor"),
    "spectrum from two points": (lambda: dl.ergodic.lyapunov_spectrum(LINEAR, 2, 3, x0=ones().expand(2, 3)), "x0 must be one point"),
    "conjugate as a list": (lambda: products([[1.0]]), "conjugate must be a torch tensor"),
    "conjugate of another size": (lambda: products(TRIANGLE), r"conjugate must be an invertible matrix of shape \(3, 3\)"),
    "conjugate singular": (lambda: products(torch.ones(3, 3, device="cpu")), "conjugate must be an invertible matrix"),
    "exponent without samples": (lambda: dl.ergodic.running_exponent(ALONE), "variable must have the dimensions"),
    "functional at half a depth": (lambda: following([1.5]), "depths must be a whole number"),
    # topology
    "loss of NaN": (lambda: dl.topology.population_loss(W * math.nan, A), "weight must be finite"),
    "loss of two dtypes": (lambda: dl.topology.population_loss(W.float(), A), "output must have the dtype of weight"),
    "loss without a slope": (lambda: dl.topology.population_loss(W, A, slope=math.nan), "slope must be finite"),
    "gradient of NaN": (lambda: dl.topology.population_gradient(W, A * math.nan), "output must be finite"),
    "forces without a slope": (lambda: dl.topology.forces(W, A, slope=math.nan), "slope must be finite"),
    "forces of no teacher": (lambda: dl.topology.forces(W, A, "T7"), "teacher must be one of"),
    "kernel of NaN vectors": (lambda: dl.topology.gaussian_kernel(W, W * math.nan), "v must be finite"),
    "kernel of two dtypes": (lambda: dl.topology.gaussian_kernel(W.float(), W), "u and v must have the same dtype"),
    "kernel of two spaces": (lambda: dl.topology.gaussian_kernel(W, ON), r"u and v must have shapes \(..., m, d\)"),
    "kernel of two batches": (lambda: dl.topology.gaussian_kernel(W.expand(2, 3, 2), W.expand(5, 3, 2)), "batches that broadcast"),
    "kernel without a slope": (lambda: dl.topology.gaussian_kernel(W, W, slope=math.nan), "slope must be finite"),
    "share of no samples": (lambda: dl.topology.negative_balance_share("he", 2, 2, 1, samples=0), "samples must be a whole number"),
    "share of NaN samples": (lambda: dl.topology.negative_balance_share("he", 2, 2, 1, samples=math.nan), "samples must be a whole number"),
    "twins of lists": (lambda: dl.topology.twins([1.0], [[1.0]], [1.0]), "weight must be a torch tensor"),
    "gradient as a list": (lambda: dl.topology.balance_change([[1.0]], A, 0.1), "grad_W must be a torch tensor"),
    "gradient of another shape": (lambda: dl.topology.balance_change(W, ones(2), 0.1), "grad_a must have shape"),
    "descend without a loss": (lambda: dl.topology.descend(None, W, A, lr=0.1, steps=1), "loss must be a function"),
    "lazy model": (lambda: dl.topology.diagnose(lazy()), "a lazy layer has none yet"),
    "fit of a deep model": (lambda: dl.topology.diagnose(deep()).can_fit(1, 1), "model must have one hidden layer"),
    # masking
    "round at NaN": (lambda: rounding(lr=math.nan), "lr must be finite"),
    "round without a scale": (lambda: rounding(scale=math.nan), "scale must be finite"),
    "round of half a step": (lambda: rounding(local_steps=1.5), "local_steps must be a whole number"),
    "round with masks in a list": (lambda: rounding([[1.0]]), "masks must be a torch tensor"),
    "round with masks of another width": (lambda: rounding(W), r"masks must have shape \(3, 3\)"),
    "step at NaN": (lambda: stepping(lr=math.nan), "lr must be finite"),
    "step without a scale": (lambda: stepping(scale=math.nan), "scale must be finite"),
    "step of a list": (lambda: stepping([[1.0]]), "weights must be a torch tensor"),
    "step with a gate": (lambda: stepping(gate=W), r"gate must have shape \(2, 3\)"),
    "step without a law": (lambda: stepping(law="bernoulli"), "law must be a law of masks"),
    "dynamics at NaN": (lambda: dl.masking.mean_dynamics(LINES, LABELS, W, A, LAW, math.nan, 2), "lr must be finite"),
    "dynamics without targets": (lambda: dl.masking.mean_dynamics(LINES, None, W, A, LAW, 0.1, 2), "y must be a tensor of numbers"),
    "jacobian without signs": (lambda: dl.masking.jacobian(LINES, W, None), "signs must be a torch tensor"),
    "jacobian of one sample": (lambda: dl.masking.jacobian(LABELS, W, A), r"X must have shape \(n, d\)"),
    "ridge of NaN": (lambda: dl.masking.ridge_fixed_point(LINES, LABELS, W * math.nan, LAW), "weights must be finite"),
    "ridge at scale 0": (lambda: dl.masking.ridge_fixed_point(LINES, LABELS, W, LAW, scale=0.0), "scale must be positive"),
    "contraction at NaN": (lambda: dl.masking.contraction(LINES, 2, 1, 0.5, math.nan), "lr must be finite"),
    "bound at scale NaN": (lambda: dl.masking.largest_lr(LINES, 2, 1, 0.5, scale=math.nan), "scale must be finite"),
    "bound at scale 0": (lambda: dl.masking.largest_lr(LINES, 2, 1, 0.5, scale=0.0), "scale must be positive"),
    "floor from nothing": (lambda: dl.masking.floor(training(), power0=0), "power0 must be positive"),
    "time of no samples": (lambda: dl.masking.slow_time(0, 2, 4, 2, 0.5, 0.1), "n must be a whole number"),
    "seed of a run": (lambda: training(seed=2.5), "seed must be a whole number"),
    "test of a run": (lambda: training(test=3), r"test must be a pair \(samples, targets\)"),
    # metrics
    "push forward by a list": (lambda: NORMAL.push_forward([[1.0]]), "weight must be a torch tensor"),
    "push forward from another space": (lambda: NORMAL.push_forward(ON), "weight must have last dimension 2"),
    "push forward by a vector": (lambda: NORMAL.push_forward(POINT), r"weight must have shape \(..., M, 2\)"),
    "push forward with a bias": (lambda: NORMAL.push_forward(TRIANGLE, ones()), "bias must have last dimension 2"),
    "push forward with noise": (lambda: NORMAL.push_forward(TRIANGLE, noise=POINT), "noise must be a square matrix"),
    "push forward of two dtypes": (lambda: NORMAL.push_forward(TRIANGLE.float()), "weight must have the dtype of the law"),
    "gaps of two spaces": (lambda: dl.metrics.poincare.with_gaps(POINT, ones(), ones(1)[0], ones(1)[0]), "x and y must agree"),
    "gaps of another shape": (lambda: dl.metrics.poincare.with_gaps(W * 0, POINT, ones(2), ones(1)), "the shape of gap_x and the leading dimensions"),
    "points of whole numbers": (lambda: dl.metrics.lp(2).sample(2, 3, dtype=int), "dtype must be torch.float32 or torch.float64"),
    # layers
    "function of no call": (lambda: dl.layers.Function("x"), "function must map points"),
    "metrics in one string": (lambda: dl.layers.Fixed(lambda x: x, 1, metrics="x"), "metrics must be a sequence of names"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_name_the_argument(name: str) -> None:
    call, message = BAD[name]
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_no_laws_have_no_distances() -> None:
    none = torch.ones(0, 4, device="cpu")
    assert dl.metrics.total_variation(none, none).shape == dl.metrics.kl(none, none).shape == (0,)


def test_death_depth_beyond_floats_is_infinite() -> None:
    assert dl.cutoff.relu_death_depth(2000) == math.inf
    assert dl.cutoff.relu_death_depth(1000) == pytest.approx(2.0**1000 * math.log(2))


def test_limits_at_infinite_depth() -> None:
    assert dl.criticality.logistic([1e308, math.inf], 10.0, 20.0, 0.5).tolist() == [0.5, 0.5]
    assert dl.criticality.logistic(math.inf, 0.0, 0.2, 0.5) == dl.criticality.logistic(math.inf, -0.1, 0.2, 0.5) == 0.0
    law = dl.criticality.stationary_law(1.5)
    assert dl.criticality.mean_activity(1.5, math.inf) == law.mean
    assert dl.criticality.mean_activity(1.5, math.inf, order=2) == law.mean**2 + law.variance
    assert dl.criticality.mean_activity(0.0, math.inf) == dl.criticality.mean_activity(-1.5, math.inf) == 0.0


def test_gamma_densities_have_their_ends() -> None:
    assert LAW_OF_Y.density([-1.0, 0.0, math.inf]).tolist() == [0.0, 0.0, 0.0]
    assert dl.criticality.GammaLaw(1.0, 2.0).density(0.0) == 2.0
    assert dl.criticality.GammaLaw(0.5, 2.0).density(0.0) == math.inf


def test_annealed_distance_at_tiny_depths() -> None:
    """Where scipy's noncentral law fails: one minus the distance is that of the wide limit, up to a part 1/width."""
    for width, part in ((256, 2e-3), (100_000, 5e-3)):
        for depth in (1e-18, 1e-14, 1e-10, 1e-8, 1e-6):
            overlap = 1 - dl.cutoff.linear_gaussian_chain(width, 0.9).annealed_total_variation(depth)
            assert overlap == pytest.approx(1 - dl.cutoff.annealed_limit(0.9, depth), rel=part), (width, depth)


def test_variance_of_log_square_at_any_width() -> None:
    for width in (10**9, 10**18, 10**30):
        assert dl.moments.variance_log_square(width) * width == pytest.approx(5, rel=1e-7)


def test_variance_far_below_rounding() -> None:
    assert dl.meanfield.fixed_point("tanh", 1e-20, 1e-30).variance == pytest.approx(1e-60, rel=1e-12)
    assert dl.meanfield.fixed_point("erf", 1e150, 0.1).correlation == 0.0  # biases that vanish beside the weights

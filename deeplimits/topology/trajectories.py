r"""Training on the population loss: many starts and learning rates at once (Part V, *Obstructed training*)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deeplimits import _checks, _runs

from .population import Teacher, _checked, field, loss_against

if TYPE_CHECKING:
    import xarray as xr

METHODS = ("gd", "rk4", "heavy_ball", "adam")
#: A run whose loss passes this many times its start has diverged.
DIVERGED = 1e6
BLOCK = 64  # steps that are searched for changes of sign together

State = tuple[torch.Tensor, torch.Tensor]
Gradient = Callable[[torch.Tensor, torch.Tensor], State]


def train_population(weight: torch.Tensor, output: torch.Tensor, teacher: Teacher | str = "T1", *, lr: float | Sequence[float] | torch.Tensor = 0.1,
                     steps: int = 1000, method: str = "gd", record: Sequence[int] | None = None, slope: float = 0.0,
                     momentum: float = 0.9, weight_decay: float = 0.0, diverging: str = "error") -> xr.Dataset:
    r"""Train shallow networks on the population loss, all runs of a batch at once, in float64.

    Gradient descent: :math:`w_k \leftarrow w_k - \eta a_k u_k`, :math:`a_k \leftarrow a_k - \eta\langle w_k, u_k\rangle` with
    the vectors of :func:`forces`. No data, no noise: the same numbers on every machine, up to rounding.

    Args:
        weight: incoming weights at the start, shape ``(m, d)`` or ``(runs, m, d)``. A neuron of zeros stays zero, so networks
            of different sizes can share a batch.
        output: output weights at the start, shape ``(m,)`` or ``(runs, m)``.
        teacher: a :class:`Teacher`, or ``"T1"``, ``"T2"``, ``"B"``.
        lr: learning rate, one for all runs or one for each (then a single start serves all); the step of ``"rk4"``.
        steps: number of steps.
        method: ``"gd"`` gradient descent; ``"rk4"`` gradient flow, by Runge-Kutta steps of fixed length; ``"heavy_ball"``;
            ``"adam"`` (:math:`\beta = .9, .999`).
        record: steps to keep, between 0 and ``steps``; default: about 200, evenly spaced.
        slope: slope of the activation below zero.
        momentum: that of ``"heavy_ball"``.
        weight_decay: :math:`\lambda` of the penalty :math:`\tfrac\lambda2\|\theta\|^2`, added to the gradient (the loss that
            is recorded is without it).
        diverging: ``"error"``, or ``"keep"`` to record an infinite loss for runs that diverge.

    Returns:
        A dataset with dimensions ``run``, ``step``, ``neuron``, ``coordinate``: ``loss``, ``time`` (:math:`\eta n`),
        ``weight``, ``output``, ``balance``; and for each run the first change of sign of an output weight: ``flip_step``
        (counted from 0, -1 if none), ``flip_neuron``, ``flip_force`` (:math:`\eta\|u_k\|` in that step), ``flip_balance`` (the
        balance before it), and ``largest_force``, the maximum of :math:`\eta\|u_k\|` over all steps and neurons.

    Raises:
        ValueError: shapes that do not fit, a learning rate that is not positive, or runs that diverge.

    Source:
        after Nurisso, Leroy and Vaccarino (2024), *Topological obstruction to the training of shallow ReLU neural networks*;
        the problem and its parameters are this book's.

    Example:
        >>> from deeplimits.topology.population import reference_start
        >>> ds = train_population(*reference_start(), "T1", lr=0.1, steps=500)
        >>> round(float(ds.loss[0, -1]), 6), ds.flip_step.item()
        (0.188865, -1)
    """
    _checks.choice("method", method, METHODS)
    _checks.choice("diverging", diverging, ("error", "keep"))
    w, a, rates = _batch(weight, output, lr)
    target = _checked(w, a, teacher)
    kept = _recorded(record, _checks.integer("steps", steps))
    decay = _checks.nonnegative("weight_decay", weight_decay)
    slope = _checks.number("slope", slope)
    seen: dict[str, Any] = {}
    step = _stepper(method, rates, _gradient(target, slope, decay, seen), _momentum(momentum))
    store, flips = _run(w, a, target, slope, rates, steps, kept, step, seen)
    _judge(store["loss"], kept, rates, diverging)
    arguments = {"teacher": target.name, "lr": rates.tolist(), "steps": steps, "method": method, "slope": slope, "weight_decay": decay}
    return _dataset(store, flips, kept, rates, provenance("train_population", arguments | ({"momentum": momentum} if method == "heavy_ball" else {}), w.device))


def provenance(function: str, arguments: dict[str, Any], device: torch.device | str) -> dict[str, str]:
    """Attributes that say how a result was made: versions, arguments and device, as JSON."""
    return {"provenance": json.dumps({"versions": _runs.versions(), "function": function, "arguments": arguments, "device": str(device), "dtype": "float64"})}


def _batch(weight: torch.Tensor, output: torch.Tensor, lr: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Start and learning rates with one leading dimension of runs, in float64."""
    w, a = _checks.finite("weight", weight).detach().double(), _checks.finite("output", output).detach().double()
    rates = torch.as_tensor(lr, dtype=torch.float64, device=w.device)
    if rates.ndim > 1 or not bool(((rates > 0) & torch.isfinite(rates)).all()):
        raise ValueError(f"lr must be a positive number or a list of them, one for each run; got {lr!r}")
    w, a = (w[None] if w.ndim == 2 else w), (a[None] if a.ndim == 1 else a)
    if w.ndim != 3 or a.shape != w.shape[:-1]:
        raise ValueError(f"weight and output must have shapes (runs, m, d) and (runs, m), or (m, d) and (m,); got {tuple(weight.shape)} and {tuple(output.shape)}")
    runs = max(w.shape[0], rates.numel())
    if w.shape[0] not in (1, runs) or rates.numel() not in (1, runs):
        raise ValueError(f"lr must hold one number or as many as there are runs, {w.shape[0]}; got {rates.numel()}")
    return w.expand(runs, -1, -1).clone(), a.expand(runs, -1).clone(), rates.reshape(-1).expand(runs).clone()


def _recorded(record: Sequence[int] | None, steps: int) -> list[int]:
    if record is None:
        return sorted({*range(0, steps + 1, max(steps // 200, 1)), steps})
    kept = sorted({int(s) for s in record})
    if not kept or kept[0] < 0 or kept[-1] > steps:
        raise ValueError(f"record must hold steps between 0 and {steps}; got {list(record)[:5]!r}")
    return kept


def _momentum(momentum: float) -> float:
    if not 0 <= _checks.number("momentum", momentum) < 1:
        raise ValueError(f"momentum must lie in [0, 1); got {momentum!r}")
    return float(momentum)


def _gradient(target: Teacher, slope: float, decay: float, seen: dict[str, Any]) -> Gradient:
    """The gradient as a function; the first force asked for in a step is kept in ``seen``."""
    v, b = target.weight, target.output

    def gradient(w: torch.Tensor, a: torch.Tensor) -> State:
        u = field(w, a, v, b, slope)
        seen.setdefault("force", u)
        by_w, by_a = a[..., None] * u, (w * u).sum(-1)
        return (by_w + decay * w, by_a + decay * a) if decay else (by_w, by_a)

    return gradient


def _stepper(method: str, rates: torch.Tensor, gradient: Gradient, momentum: float) -> Gradient:
    """A function from one state to the next; what it remembers starts at zero."""
    h, hw = rates[:, None], rates[:, None, None]
    memory: dict[str, Any] = {"n": 0}

    def move(w: torch.Tensor, a: torch.Tensor, p: torch.Tensor, q: torch.Tensor, scale: float = 1.0) -> State:
        return w - scale * hw * p, a - scale * h * q

    def gd(w: torch.Tensor, a: torch.Tensor) -> State:
        return move(w, a, *gradient(w, a))

    def rk4(w: torch.Tensor, a: torch.Tensor) -> State:
        k1 = gradient(w, a)
        k2 = gradient(*move(w, a, *k1, 0.5))
        k3 = gradient(*move(w, a, *k2, 0.5))
        k4 = gradient(*move(w, a, *k3))
        return move(w, a, *((x1 + 2 * x2 + 2 * x3 + x4) / 6 for x1, x2, x3, x4 in zip(k1, k2, k3, k4, strict=True)))

    def heavy_ball(w: torch.Tensor, a: torch.Tensor) -> State:
        old = memory.get("velocity", (0.0, 0.0))
        memory["velocity"] = tuple(momentum * v + g for v, g in zip(old, gradient(w, a), strict=True))
        return move(w, a, *memory["velocity"])

    def adam(w: torch.Tensor, a: torch.Tensor) -> State:
        memory["n"] += 1
        n, directions = memory["n"], []
        for name, g in zip("wa", gradient(w, a), strict=True):
            first = memory[f"first {name}"] = 0.9 * memory.get(f"first {name}", 0.0) + 0.1 * g
            second = memory[f"second {name}"] = 0.999 * memory.get(f"second {name}", 0.0) + 0.001 * g**2
            directions.append(first / (1 - 0.9**n) / (torch.sqrt(second / (1 - 0.999**n)) + 1e-8))
        return move(w, a, *directions)

    return {"gd": gd, "rk4": rk4, "heavy_ball": heavy_ball, "adam": adam}[method]


def _run(w: torch.Tensor, a: torch.Tensor, target: Teacher, slope: float, rates: torch.Tensor, steps: int, kept: list[int],
         step: Gradient, seen: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    flips = _no_flips(w.shape[0], w.device)
    rows: dict[str, list[torch.Tensor]] = {"loss": [], "weight": [], "output": []}
    places = set(kept)
    past: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for n in range(steps + 1):
        if n in places:
            rows["loss"].append(loss_against(w, a, target, slope))
            rows["weight"].append(w)
            rows["output"].append(a)
        if len(past) == BLOCK or (n == steps and past):
            flips, past = _watch(flips, n - len(past), past, a, rates), []
        if n < steps:
            new = step(w, a)
            past.append((w, a, seen.pop("force")))
            w, a = new
    return {name: torch.stack(values, 1) for name, values in rows.items()}, flips


def _no_flips(runs: int, device: torch.device) -> dict[str, torch.Tensor]:
    never = torch.full((runs,), -1, device=device)
    zeros = torch.zeros(runs, dtype=torch.float64, device=device)
    return {"flip_step": never, "flip_neuron": never, "flip_force": zeros, "flip_balance": zeros, "largest_force": zeros}


def _watch(flips: dict[str, torch.Tensor], start: int, past: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]], last: torch.Tensor,
           rates: torch.Tensor) -> dict[str, torch.Tensor]:
    """Keep the first change of sign of each run, and the largest force, over a block of steps."""
    w, a, u = (torch.stack(column, 1) for column in zip(*past, strict=True))  # run, step, neuron, ...
    force = rates[:, None, None] * torch.linalg.vector_norm(u, dim=-1)
    after = torch.cat([a[:, 1:], last[:, None]], 1)
    changed = (a * after < 0).flatten(1)
    first = changed.to(torch.uint8).argmax(1)  # the first of equals
    fresh = changed.any(1) & (flips["flip_step"] < 0)
    here, m = first[:, None], a.shape[-1]
    balance = (w**2).sum(-1) - a**2
    found = {"flip_step": start + first // m, "flip_neuron": first % m, "flip_force": force.flatten(1).gather(1, here)[:, 0],
             "flip_balance": balance.flatten(1).gather(1, here)[:, 0]}
    kept = {name: torch.where(fresh, value, flips[name]) for name, value in found.items()}
    return kept | {"largest_force": torch.fmax(flips["largest_force"], force.nan_to_num(nan=0.0).amax((1, 2)))}


def _judge(loss: torch.Tensor, kept: list[int], rates: torch.Tensor, diverging: str) -> None:
    """Refuse runs that diverged, or make their loss infinite from then on."""
    bad = ~(loss <= DIVERGED * loss[:, :1].clamp_min(1.0))
    bad = bad.cumsum(1) > 0
    if diverging == "error" and bool(bad.any()):
        run = int(bad.any(1).nonzero()[0])
        start = float(loss[run, 0])
        raise ValueError(
            f"lr must keep the loss bounded; run {run} with lr = {float(rates[run]):g} diverged before step {kept[int(bad[run].nonzero()[0])]}. "
            f"No output weight jumps below 1/sqrt(2 L) = {1 / math.sqrt(2 * start):.3g} while the loss stays under its start L = {start:.3g}; "
            "diverging='keep' records an infinite loss instead")
    loss[bad] = math.inf


def _dataset(store: dict[str, torch.Tensor], flips: dict[str, torch.Tensor], kept: list[int], rates: torch.Tensor, attrs: dict[str, str]) -> xr.Dataset:
    import xarray as xr

    w, a = store["weight"], store["output"]
    loss, steps = store["loss"].cpu().numpy(), np.asarray(kept)
    variables: dict[str, Any] = {
        "loss": (("run", "step"), loss, {"long_name": "population loss", "units": "1"}),
        "time": (("run", "step"), np.outer(rates.cpu().numpy(), steps), {"long_name": "time, learning rate × steps", "units": "1"}),
        "weight": (("run", "step", "neuron", "coordinate"), w.cpu().numpy(), {"long_name": "incoming weight", "units": "1"}),
        "output": (("run", "step", "neuron"), a.cpu().numpy(), {"long_name": "output weight", "units": "1"}),
        "balance": (("run", "step", "neuron"), ((w**2).sum(-1) - a**2).cpu().numpy(), {"long_name": "balance", "units": "1"}),
        "lr": (("run",), rates.cpu().numpy(), {"long_name": "learning rate", "units": "1"}),
    }
    words = {"flip_step": "step of the first change of sign", "flip_neuron": "neuron of the first change of sign",
             "flip_force": "learning rate × force at the first change of sign", "flip_balance": "balance before the first change of sign",
             "largest_force": "largest learning rate × force"}
    variables |= {name: (("run",), flips[name].cpu().numpy(), {"long_name": text, "units": "1"}) for name, text in words.items()}
    coords = {"run": np.arange(loss.shape[0]), "step": ("step", steps, {"long_name": "step", "units": "steps"})}
    return xr.Dataset(variables, coords, attrs)

r"""Ensembles of starts: twins, success against frozen signs, learning rates that jump (Part V, *Obstructed training*)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deeplimits import _checks, devices

from .population import Teacher, as_teacher, field, loss_against, population_loss, reference_start
from .reachability import feasible_probability
from .rescaling import rescale
from .trajectories import provenance, train_population

if TYPE_CHECKING:
    import xarray as xr

#: Success: a loss below this share of the loss of the zero network.
SUCCESS = 0.01
_CHECK_EVERY = 40  # steps between two looks for runs that have succeeded
_BLOCK = 4096  # neurons that are worked on together, so that a block stays in the cache


def twins(balances: Any, weight: torch.Tensor | None = None, output: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Networks that compute one function and differ in their balances only.

    Args:
        balances: one entry for each twin: a number, or one number for each neuron.
        weight: incoming weights of the function, shape ``(m, d)``; default: :func:`reference_start`.
        output: output weights, shape ``(m,)``.

    Returns:
        ``weight`` (twins, m, d) and ``output`` (twins, m), for :func:`train_population`.

    Raises:
        TypeError: weights that are not tensors.
        ValueError: weights without outputs, or balances that do not fit.

    Source:
        the rescaling symmetry; see :func:`rescale`.

    Example:
        >>> w, a = twins([-0.5, 0.5])
        >>> population_loss(w, a, "T1").round(decimals=6).tolist()
        [0.550809, 0.550809]
    """
    if (weight is None) != (output is None):
        raise ValueError("weight and output must come together, or both be None for the reference start; got one of them")
    w, a = reference_start() if weight is None or output is None else (_checks.finite("weight", weight).double(), _checks.finite("output", output).double())
    if w.ndim != 2 or a.shape != w.shape[:1]:
        raise ValueError(f"weight and output must have shapes (m, d) and (m,); got {tuple(w.shape)} and {tuple(a.shape)}")
    level = torch.as_tensor(balances, dtype=torch.float64, device=w.device)
    level = level[:, None] if level.ndim == 1 else level
    if level.ndim != 2 or level.shape[1] not in (1, a.shape[0]):
        raise ValueError(f"balances must hold a number, or {a.shape[0]} numbers, for each twin; got shape {tuple(level.shape)}")
    many = level.shape[0]
    moved = rescale(w.expand(many, -1, -1), a.expand(many, -1), level.expand(many, a.shape[0]))
    return moved.W, moved.a


def random_starts(hidden: int, seeds: int, dim_in: int = 2, *, size: float = 0.5, seed: int = 0,
                  device: torch.device | str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    r"""Functions to start from: uniform directions, fair signs, and :math:`\|w_k\||a_k| = \texttt{size}/\sqrt m`.

    They are returned on the cone :math:`c_k = 0`; :func:`rescale` moves them to any balances.

    Args:
        hidden: number of neurons m.
        seeds: number of starts.
        dim_in: number of inputs d.
        size: scale of the function.
        seed: of the generator.
        device: where the tensors go; the numbers do not depend on it.

    Returns:
        ``weight`` (seeds, m, d) and ``output`` (seeds, m), float64.

    Raises:
        ValueError: a size that is not positive.

    Example:
        >>> w, a = random_starts(4, seeds=3)
        >>> (w.norm(dim=-1) * a.abs())[0].round(decimals=6).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    m, n, d = _checks.integer("hidden", hidden), _checks.integer("seeds", seeds), _checks.integer("dim_in", dim_in)
    generator = torch.Generator(device="cpu").manual_seed(_checks.integer("seed", seed, minimum=0) * 1009 + m)
    direction = torch.randn(n, m, d, generator=generator, dtype=torch.float64, device="cpu")
    sign = torch.randint(0, 2, (n, m), generator=generator, device="cpu").double() * 2 - 1
    root = math.sqrt(_checks.positive("size", size) / math.sqrt(m))
    weight = direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True) * root
    return weight.to(device), (sign * root).to(device)


def frozen_sign_study(hidden: Sequence[int] = (2, 3, 4, 5, 6, 7, 8, 9, 10), seeds: int = 200, teacher: str = "T1", *, frozen: Sequence[int] | None = None,
                      balance: float = 0.25, size: float = 0.5, lr: float = 0.05, time: float = 200.0, seed: int = 0,
                      device: torch.device | str | None = None) -> xr.Dataset:
    r"""How often training succeeds when j of the m signs are frozen: every cell and every seed in one batch.

    Seed s of width m starts from one function; in cell j its first j neurons have balance :math:`-c` and the others :math:`+c`.
    So the cells of a width are twins, run by run. Narrow networks are padded with neurons of zeros, which stay zero. Gradient
    descent on the population loss; *success* is a loss below 1 % of that of the zero network. A run that has succeeded leaves the
    batch (its loss falls on); the others run to the end.

    Args:
        hidden: numbers of neurons m.
        seeds: starts for each cell.
        teacher: ``"T1"`` (two inputs), or ``"B"`` (as many inputs as neurons; then every m must be even, and each width is a
            batch of its own).
        frozen: numbers j of frozen signs; default: all from 0 to m.
        balance: c, positive.
        size: scale of the functions at the start.
        lr: learning rate.
        time: :math:`\eta n` at the end.
        seed: of the generator.
        device: where to compute; the default device if None. The starts do not depend on it.

    Returns:
        A dataset with dimensions ``hidden``, ``frozen``, ``seed``: ``loss`` at the end of each run (NaN where j > m), ``success``,
        ``feasible`` (is the teacher reachable from this start?); and over the seeds ``success_rate`` with its standard error,
        ``feasible_share`` and ``feasible_probability``, its exact value over fair signs.

    Raises:
        ValueError: sizes or rates that are not positive, j > m for every m, odd m with teacher ``"B"``.

    Source:
        measured in *Obstructed training*; the criterion is :func:`reachable`.

    Example:
        >>> ds = frozen_sign_study((2,), seeds=6, time=40.0)
        >>> bool((ds.success <= ds.feasible).all())
        True
    """
    device = devices.place(device)
    widths = [_checks.integer("hidden", m) for m in hidden]
    n, c = _checks.integer("seeds", seeds), _checks.positive("balance", balance)
    steps = max(1, round(_checks.positive("time", time) / _checks.positive("lr", lr)))
    _checks.choice("teacher", teacher, ("T1", "B"))
    counts = list(range(max(widths, default=0) + 1)) if frozen is None else [_checks.integer("frozen", j, 0) for j in frozen]
    cells = [(m, j) for m in widths for j in counts if j <= m]
    if not cells:
        raise ValueError(f"frozen must hold a number of frozen signs that is at most some number of neurons; got {frozen!r} beside hidden = {list(hidden)!r}")
    shape = (len(widths), len(counts), n)
    loss, success, feasible = np.full(shape, np.nan), np.zeros(shape, bool), np.zeros(shape, bool)
    for group in [cells] if teacher == "T1" else [[cell for cell in cells if cell[0] == m] for m in widths]:
        target = as_teacher(teacher, 2 if teacher == "T1" else group[0][0], device)
        w, a = _starts(group, n, target.dim_in, size, c, seed, device)
        ends = _descend(w.flatten(0, 1), a.flatten(0, 1), target, lr, steps).view(len(group), n).cpu().numpy()
        zero = float(population_loss(w[0, :1], 0 * a[0, :1], target))
        for (m, j), end, signs in zip(group, ends, a, strict=True):
            place = widths.index(m), counts.index(j)
            loss[place], success[place] = end, end < SUCCESS * zero
            feasible[place] = _feasible(signs[:, :j], m, target)
    arguments = {"hidden": widths, "seeds": n, "teacher": teacher, "frozen": counts, "balance": c, "size": size, "lr": lr, "time": time, "seed": seed}
    return _study(widths, counts, loss, success, feasible, cells, teacher, provenance("frozen_sign_study", arguments, device))


def _starts(cells: list[tuple[int, int]], seeds: int, dim_in: int, size: float, c: float, seed: int,
            device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
    """Starts (cells, seeds, widest, d), padded with zeros: the first j neurons at balance -c, the others at +c."""
    widest = max(m for m, _ in cells)
    w = torch.zeros(len(cells), seeds, widest, dim_in, dtype=torch.float64, device=device)
    a = torch.zeros(len(cells), seeds, widest, dtype=torch.float64, device=device)
    functions = {m: random_starts(m, seeds, dim_in, size=size, seed=seed, device=device) for m, _ in cells}
    for k, (m, j) in enumerate(cells):
        level = torch.where(torch.arange(m, device=device) < j, -c, c).double()
        moved = rescale(*functions[m], level)
        w[k, :, :m], a[k, :, :m] = moved.W, moved.a
    return w, a


def _feasible(signs: torch.Tensor, hidden: int, target: Teacher) -> np.ndarray:
    """The criterion of :func:`reachable` for many sign vectors of the frozen neurons at once."""
    p, q = (signs > 0).sum(-1), (signs < 0).sum(-1)
    missing = (target.positive - p).clamp_min(0) + (target.negative - q).clamp_min(0)
    return (missing <= hidden - p - q).cpu().numpy()


def _descend(w: torch.Tensor, a: torch.Tensor, target: Teacher, lr: float, steps: int) -> torch.Tensor:
    """Final losses; runs that have succeeded leave with the loss they have then."""
    v, b = target.weight, target.output
    zero = population_loss(w[0], 0 * a[0], target)
    size = max(1, _BLOCK // w.shape[1])
    final = []
    for w_block, a_block in zip(w.split(size), a.split(size), strict=True):
        widest = int((a_block != 0).sum(-1).max())  # neurons of zeros stand last
        w_block, a_block = w_block[:, :widest], a_block[:, :widest]
        loss = torch.zeros(w_block.shape[0], dtype=torch.float64, device=w.device)
        at = torch.arange(w_block.shape[0], device=w.device)
        for n in range(steps + 1):
            if n % _CHECK_EVERY == 0 or n == steps:
                now = loss_against(w_block, a_block, target)
                loss[at] = now
                stay = now >= SUCCESS * zero
                w_block, a_block, at = w_block[stay], a_block[stay], at[stay]
                if at.numel() == 0:
                    break
            if n < steps:
                u = field(w_block, a_block, v, b)
                w_block, a_block = w_block - lr * a_block[..., None] * u, a_block - lr * (w_block * u).sum(-1)
        final.append(loss)
    return torch.cat(final)


def _study(widths: list[int], counts: list[int], loss: np.ndarray, success: np.ndarray, feasible: np.ndarray, cells: list[tuple[int, int]],
           teacher: str, attrs: dict[str, str]) -> xr.Dataset:
    import xarray as xr

    real = np.array([[(m, j) in cells for j in counts] for m in widths])
    n = loss.shape[-1]
    rate = np.where(real, success.mean(-1), np.nan)
    shrunk = (success.sum(-1) + 0.5) / (n + 1)  # so that a share of 0 or 1 keeps an error
    exact = np.full(real.shape, np.nan)
    for m, j in cells:
        units = (1, 1) if teacher == "T1" else (m // 2, m // 2)
        exact[widths.index(m), counts.index(j)] = feasible_probability(j, m, *units)
    dims = ("hidden", "frozen")
    variables: dict[str, Any] = {
        "loss": ((*dims, "seed"), loss, {"long_name": "loss at the end", "units": "1"}),
        "success": ((*dims, "seed"), success, {"long_name": "success", "units": "1"}),
        "feasible": ((*dims, "seed"), feasible, {"long_name": "teacher reachable", "units": "1"}),
        "success_rate": (dims, rate, {"long_name": "share of successes", "units": "1"}),
        "success_rate_se": (dims, np.where(real, np.sqrt(shrunk * (1 - shrunk) / n), np.nan), {"long_name": "its standard error", "units": "1"}),
        "feasible_share": (dims, np.where(real, feasible.mean(-1), np.nan), {"long_name": "share of starts from which the teacher is reachable", "units": "1"}),
        "feasible_probability": (dims, exact, {"long_name": "probability that the teacher is reachable", "units": "1"}),
    }
    coords = {"hidden": ("hidden", widths, {"long_name": "neurons m"}), "frozen": ("frozen", counts, {"long_name": "frozen signs j"}), "seed": np.arange(n)}
    return xr.Dataset(variables, coords, attrs | {"teacher": teacher})


def learning_rate_scan(lrs: Sequence[float] = (0.1, 0.5, 1.0, 1.5, 1.8, 2.0, 2.2, 2.4, 3.0), steps: int = 3000, tail: int = 200) -> xr.Dataset:
    r"""Gradient descent from the obstructed reference start at many learning rates: who crosses, and how?

    Two mechanisms. *Drift*: discreteness moves the balance above zero in a few steps, then the sign changes with
    :math:`\eta\|u\| < 1`. *Jump*: one step with :math:`\eta\|u\| > 1` carries a frozen sign across.

    Args:
        lrs: learning rates, all in one batch.
        steps: number of steps.
        tail: number of last steps over which ``loss_low`` and ``loss_high`` are taken, since large rates oscillate.

    Returns:
        The result of :func:`train_population` at the start and over the last steps, with ``crossing`` ("none", "drift" or "jump") and the
        range of the loss at the end. Runs that diverge have an infinite loss.

    Raises:
        ValueError: rates that are not positive.

    Source:
        measured in *Obstructed training*.

    Example:
        >>> scan = learning_rate_scan((0.5, 1.8, 3.0), steps=40, tail=10)
        >>> scan.crossing.values.tolist()
        ['none', 'drift', 'jump']
    """
    last = min(_checks.integer("tail", tail), _checks.integer("steps", steps))
    record = [0, *range(steps - last + 1, steps + 1)]
    ds = train_population(*reference_start(), "T1", lr=list(lrs), steps=steps, record=record, diverging="keep")
    crossed = ds["flip_step"].values >= 0
    words = np.where(~crossed, "none", np.where(ds["flip_balance"].values > 0, "drift", "jump"))
    end = ds["loss"].isel(step=slice(1, None))
    return ds.assign(crossing=("run", words), loss_low=end.min("step"), loss_high=end.max("step"))


def outcomes(runs: int = 60, *, balance: float = 0.5, lr: float = 0.1, steps: int = 6000, seed: int = 0) -> xr.Dataset:
    r"""Two free neurons of opposite signs on teacher T1, where nothing is obstructed: which minimum do they reach?

    Random directions and sizes :math:`\|w_k\||a_k| \in U(.2, 1)`, all balances positive. Three ends occur: zero, a spurious
    minimum near .1821 with one neuron of each sign, and the plateau of :func:`obstructed_plateau`, where one neuron has taken the
    sign of the other (free neurons cross both ways).

    Args:
        runs: number of random starts, one batch.
        balance: balance of every neuron, positive.
        lr: learning rate.
        steps: number of steps.
        seed: of the generator.

    Returns:
        A dataset over ``run`` with ``loss``, ``output`` and ``end``: "fit", "spurious" or "plateau" (or "other").

    Raises:
        ValueError: a balance that is not positive.

    Source:
        measured in *Obstructed training*; the shares depend on the law of the starts.

    Example:
        >>> sorted(set(outcomes(8, steps=1500).end.values.tolist()) & {"fit", "spurious"})
        ['fit', 'spurious']
    """
    generator = torch.Generator(device="cpu").manual_seed(_checks.integer("seed", seed, minimum=0))
    n = _checks.integer("runs", runs)
    angle = 2 * math.pi * torch.rand(n, 2, generator=generator, dtype=torch.float64, device="cpu")
    size = 0.2 + 0.8 * torch.rand(n, 2, generator=generator, dtype=torch.float64, device="cpu")
    direction = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64, device="cpu")
    w, a, _, _ = rescale(direction * size[..., None], sign.expand(n, 2), _checks.positive("balance", balance))
    ds = train_population(w, a, "T1", lr=lr, steps=steps, record=[0, steps])
    loss = ds["loss"].isel(step=-1).values
    words = np.full(loss.shape, "other", dtype="<U8")
    for word, value in (("fit", 0.0), ("spurious", 0.1820674), ("plateau", 0.1888648)):
        words[np.abs(loss - value) < 1e-3] = word
    return ds.assign(end=("run", words))

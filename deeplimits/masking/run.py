r"""Training by rounds: batched over seeds, recorded after every round, continued after an interruption (Part VI, *Training random subnetworks*)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deeplimits import _checks, _runs, devices
from deeplimits.engine.streams import stream
from deeplimits.masking import rounds as steps
from deeplimits.masking.kernels import samples
from deeplimits.masking.laws import MaskLaw, mask_law, output_factor
from deeplimits.masking.theory import check_stable

if TYPE_CHECKING:
    import xarray

Tensor = torch.Tensor

GATES = ("free", "frozen")
_START = -1  # the stream of the weights; rounds have 0, 1, ...
_LONG = {"error": "squared error of the full network on the samples", "power": "mean-square size of the neurons' outputs, tr C",
         "alive": "share of neurons whose weights are not zero",
         "test_error": "mean squared error of the full network on the test samples", "accuracy": "share of test samples with the right sign",
         "weights": "weights of the hidden layer after the last round", "signs": "signs of the output layer"}


@dataclass(frozen=True)
class Plan:
    """A checked run."""

    X: Tensor
    y: Tensor
    law: MaskLaw
    seeds: list[int]
    rounds: int
    local_steps: int
    lr: float
    entry_std: float
    scale: float
    unselected: str
    frozen: bool
    route: str
    test: tuple[Tensor, Tensor] | None
    arguments: dict[str, Any] = field(repr=False)

    @property
    def problem(self) -> steps.Problem:
        """What a subnetwork is trained on."""
        return steps.Problem(self.X, self.y, self.scale / math.sqrt(self.law.width or 1), self.lr, self.local_steps)


def initial_weights(width: int, dim: int, seed: int = 0, *, entry_std: float = 1.0, dtype: torch.dtype = torch.float32,
                    device: Any = "cpu") -> tuple[Tensor, Tensor]:
    r"""Weights :math:`w_r \sim N(0, \kappa^2 I)` and signs :math:`a_r = \pm 1`, as :func:`train` draws them.

    Args:
        width: number of neurons m.
        dim: dimension of the inputs.
        seed: key of the stream; masks have streams of their own.
        entry_std: standard deviation :math:`\kappa` of an entry.
        dtype: float32 or float64; the numbers are drawn in float32.
        device: where the tensors go; they are drawn on the CPU.

    Returns:
        Weights of shape ``(m, d)`` and signs of shape ``(m,)``.

    Example:
        >>> W, a = initial_weights(4, 3, seed=1)
        >>> W.shape, a.abs().tolist()
        (torch.Size([4, 3]), [1.0, 1.0, 1.0, 1.0])
    """
    m, d = _checks.integer("width", width), _checks.integer("dim", dim)
    generator = stream(_checks.integer("seed", seed, minimum=0), _START, 0, torch.device("cpu"))
    W = torch.randn(m, d, generator=generator, dtype=torch.float32, device="cpu") * _checks.positive("entry_std", entry_std)
    signs = torch.randint(2, (m,), generator=generator, device="cpu") * 2 - 1
    return W.to(dtype=dtype, device=device), signs.to(dtype=dtype, device=device)


def train(X: Tensor, y: Tensor, width: int, subnetworks: int, local_steps: int, keep: float | None, lr: float, masks: str = "bernoulli", *,
          rounds: int = 100, seed: int | Sequence[int] = 0, entry_std: float = 1.0, scale: float | None = None,
          unselected: str = "unchanged", gates: str = "free", test: tuple[Tensor, Tensor] | None = None, route: str = "auto",
          allow_unstable: bool = False, checkpoint: str | Path | None = None, every: int = 100, device: Any = None,
          progress: bool = True) -> xarray.Dataset:
    r"""Train the hidden layer of a ReLU network through random subnetworks.

    A round draws masks :math:`M_{sr}`, trains the networks :math:`f_s(x) = \frac{q}{\sqrt m}\sum_r M_{sr}a_r\,\mathrm{relu}(w_r \cdot x)`
    for :math:`\tau` steps on :math:`\tfrac12\sum_i(f_s(x_i) - y_i)^2` from the current weights, and moves each neuron by the mean of
    its changes over the subnetworks that hold it. Neurons in none keep their weights. Full batches; only W is trained.

    Args:
        X: samples, shape ``(n, d)``, float32 or float64.
        y: targets, shape ``(n,)``.
        width: number of neurons m.
        subnetworks: number S of masks a round.
        local_steps: number :math:`\tau` of steps of each subnetwork in a round.
        keep: probability :math:`\xi` that a mask keeps a neuron; for partitions 1/S, or None.
        lr: step size :math:`\eta` for the *sum* over the samples (for a mean over n samples divide by n).
        masks: ``"bernoulli"``, ``"partition"`` (equal parts) or ``"categorical"`` (parts of random size).
        rounds: number of rounds.
        seed: a seed, or several: they are trained as one batch, each as if alone.
        entry_std: standard deviation :math:`\kappa` of the entries of W at the start.
        scale: output factor q of a subnetwork; :math:`1/\xi` if None.
        unselected: ``"unchanged"``, or ``"zero"``: neurons in no mask are set to zero, and stay there.
        gates: ``"free"``, or ``"frozen"``: which unit is on for which sample is held as at the start (the linearized network).
        test: samples and targets (+1 or -1) to measure error and accuracy on.
        route: how a round is computed, one of ``ROUTES``; all give the same weights.
        allow_unstable: run beyond the stability bound instead of raising an error.
        checkpoint: a netCDF file: written every ``every`` rounds and at the end or an interrupt; if it is there, the run goes on
            from it, with the same numbers as without a stop.
        every: rounds between two writes of the checkpoint.
        device: where to compute; if None where X is, or the default device. The same networks and masks are drawn for every device.
        progress: whether to show a line of text when the run takes longer than two seconds.

    Returns:
        A dataset with dimensions ``seed`` and ``round`` (round 0 is the start): ``error`` :math:`\|f(X) - y\|^2` of the full network,
        ``power`` :math:`\operatorname{tr} C = \sum_r \|\mathrm{relu}(Xw_r)\|^2/m`, with ``unselected="zero"`` also ``alive``, and with ``test``
        ``test_error`` and ``accuracy``; ``weights`` and ``signs`` after the last round; provenance (JSON) in ``attrs``. After an interrupt
        it holds the rounds completed until then, and ``attrs["interrupted"]`` is 1.

    Raises:
        ValueError: keep outside (0, 1]; a partition that does not divide the width; a step size beyond the stability bound, with
            the bound and its value; a checkpoint of other arguments.
        FloatingPointError: the run diverged below the bound, which is one for infinite width.

    Source:
        Liao and Kyrillidis (2022); Yuan et al. (2019) for partitions.

    Example:
        >>> from deeplimits.masking import random_task
        >>> X, y = random_task(20, 10)
        >>> ds = train(X, y, width=400, subnetworks=4, local_steps=1, keep=0.5, lr=0.1, rounds=30, seed=[0, 1])
        >>> dict(ds.error.sizes), bool((ds.error[:, -1] < 0.2 * ds.error[:, 0]).all())
        ({'seed': 2, 'round': 31}, True)
    """
    plan = _plan(X, y, width, subnetworks, local_steps, keep, lr, masks, rounds, seed, entry_std, scale, unselected, gates, test, route, allow_unstable, device)
    file = None if checkpoint is None else Path(checkpoint)
    run = Run(plan, None if file is None or not file.exists() else load(file, plan.arguments))
    return run.go(file, _checks.integer("every", every), bool(progress), allow_unstable)


def _plan(X, y, width, subnetworks, local_steps, keep, lr, masks, rounds, seed, entry_std, scale, unselected, gates, test, route,
          allow_unstable, device) -> Plan:
    X, y = samples("X", "y", X, y)
    home = devices.place(device, X)
    X, y = X.to(home), y.to(home)
    law = mask_law(masks, subnetworks, keep, _checks.integer("width", width))
    tau, lr = _checks.integer("local_steps", local_steps), _checks.positive("lr", lr)
    _checks.choice("unselected", unselected, steps.UNSELECTED), _checks.choice("gates", gates, GATES)
    scale = output_factor(law, scale)
    seeds = [_checks.integer("seed", s, minimum=0) for s in (seed if isinstance(seed, Iterable) else [seed])]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seed must be a number or several different ones; got {seed!r}")
    if not allow_unstable:
        check_stable(X, law, tau, lr, scale)
    if test is not None:
        if not isinstance(test, (tuple, list)) or len(test) != 2:
            raise TypeError(f"test must be a pair (samples, targets); got {test!r}")
        test = samples("test[0]", "test[1]", *test)
        _checks.last_dimension("test[0]", test[0], X.shape[-1])
        test = test[0].to(X), test[1].to(X)
    arguments = {"n": X.shape[0], "dim": X.shape[1], "width": law.width, "subnetworks": law.subnetworks, "local_steps": tau, "keep": law.keep,
                 "lr": lr, "masks": masks, "seed": seeds, "entry_std": _checks.positive("entry_std", entry_std), "scale": scale,
                 "unselected": unselected, "gates": gates, "dtype": str(X.dtype).removeprefix("torch."), "device": str(X.device),
                 "samples": fingerprint(X, y), "test": "" if test is None else fingerprint(*test)}
    return Plan(X, y, law, seeds, _checks.integer("rounds", rounds), tau, lr, float(entry_std), scale, unselected, gates == "frozen",
                steps.chosen(route, tau), test, arguments)


def fingerprint(X: Tensor, y: Tensor) -> str:
    """A short mark of the data, by which a checkpoint knows them again."""
    import hashlib

    return hashlib.blake2b(X.cpu().numpy().tobytes() + y.cpu().numpy().tobytes(), digest_size=8).hexdigest()


class Run:
    """The state of a run after some completed rounds, and what was recorded until then."""

    def __init__(self, plan: Plan, before: xarray.Dataset | None = None):
        self.plan = plan
        X, law = plan.X, plan.law
        started = [initial_weights(law.width, X.shape[1], s, entry_std=plan.entry_std, dtype=X.dtype, device=X.device) for s in plan.seeds]
        W = torch.stack([w for w, _ in started])
        self.signs = torch.stack([a for _, a in started])
        self.gate = (X @ W.mT > 0).to(X.dtype) if plan.frozen else None
        self.rows: list[dict[str, np.ndarray]] = []  # one for each round before the present one
        done = 0
        if before is not None:
            W = torch.as_tensor(before.weights.values, dtype=X.dtype, device=X.device)
            done = before.sizes["round"] - 1
            recorded = {str(n): v.transpose("round", "seed").values for n, v in before.data_vars.items() if "round" in v.dims}
            self.rows = [{n: values[k] for n, values in recorded.items()} for k in range(done)]
        self.state = W, done  # changed in one assignment: an interrupt finds it whole

    def watch(self, W: Tensor, active: Tensor) -> dict[str, np.ndarray]:
        """What is recorded of the weights, given the outputs of the neurons."""
        plan = self.plan
        m = plan.law.width
        f = (active @ self.signs.unsqueeze(-1)).squeeze(-1) / math.sqrt(m)
        row = {"error": (f - plan.y).square().sum(-1), "power": active.square().sum((1, 2)) / m}
        if plan.unselected == "zero":
            row["alive"] = (W != 0).any(-1).to(W.dtype).mean(-1)
        if plan.test is not None:
            g = (torch.relu(plan.test[0] @ W.mT) @ self.signs.unsqueeze(-1)).squeeze(-1) / math.sqrt(m)
            row |= {"test_error": (g - plan.test[1]).square().mean(-1), "accuracy": (g * plan.test[1] > 0).to(W.dtype).mean(-1)}
        return {name: value.cpu().numpy() for name, value in row.items()}

    def step(self) -> None:
        """Record the state, then go one round further."""
        plan, (W, k) = self.plan, self.state
        drawn = torch.stack([plan.law.draw(s, k) for s in plan.seeds])
        most = int(drawn.sum(-1).max())  # masks are drawn on the CPU
        M = drawn.to(W)
        Z = plan.X @ W.mT
        forward = Z, steps.relu(Z, self.gate)
        new = W + steps.change(W, self.signs, M, plan.problem, plan.route, self.gate, most, forward)
        if plan.unselected == "zero":
            new = new * M.amax(1).unsqueeze(-1)
        self.rows[k:] = [self.watch(W, forward[1])]
        self.state = new, k + 1

    def go(self, file: Path | None, every: int, progress: bool, allow_unstable: bool) -> xarray.Dataset:
        """All rounds that are missing."""
        from tqdm import tqdm

        interrupted, first = False, self.state[1]
        bar = tqdm(total=self.plan.rounds, initial=first, unit="round", delay=2.0, disable=not progress, desc="masking.train")
        try:
            while self.state[1] < self.plan.rounds:
                self.step()
                bar.update(self.state[1] - bar.n)
                if self.state[1] % every == 0:
                    self.check(allow_unstable)
                    if file is not None:
                        save(self.dataset(False), file)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            bar.close()
        if not interrupted:
            self.check(allow_unstable)
        ds = self.dataset(interrupted)
        if file is not None:
            save(ds, file)
        return ds

    def check(self, allow_unstable: bool) -> None:
        """A run that left the numbers is an error unless it was asked for."""
        if not allow_unstable and not bool(torch.isfinite(self.state[0]).all()):
            raise FloatingPointError(
                f"training diverged before round {self.state[1]}. lr={self.plan.lr:g} is below the bound for infinite width, but a subnetwork of "
                f"{self.plan.law.keep * self.plan.law.width:.0f} neurons has a larger kernel: lower lr, or raise width")

    def dataset(self, interrupted: bool) -> xarray.Dataset:
        """What was recorded, the state after the last completed round included."""
        import xarray

        plan, (W, done) = self.plan, self.state
        rows = [*self.rows[:done], self.watch(W, steps.relu(plan.X @ W.mT, self.gate))]
        variables = {name: (("seed", "round"), np.stack([row[name] for row in rows], axis=1), {"long_name": _LONG[name], "units": "1"}) for name in rows[0]}
        variables["weights"] = (("seed", "neuron", "feature"), W.cpu().numpy(), {"long_name": _LONG["weights"], "units": "1"})
        variables["signs"] = (("seed", "neuron"), self.signs.cpu().numpy(), {"long_name": _LONG["signs"], "units": "1"})
        coords = {"seed": plan.seeds, "round": ("round", np.arange(done + 1), {"long_name": "round", "units": "rounds"})}
        attrs = {"provenance": json.dumps({"versions": _runs.versions(), "arguments": plan.arguments | {"rounds": plan.rounds, "route": plan.route}}),
                 "interrupted": int(interrupted)}
        return xarray.Dataset(variables, coords, attrs)


def save(ds: xarray.Dataset, file: Path) -> None:
    """Write a checkpoint whole or not at all."""
    new = file.with_name(file.name + ".new")
    ds.to_netcdf(new, engine="h5netcdf")
    os.replace(new, file)


def load(file: Path, arguments: dict[str, Any]) -> xarray.Dataset:
    """A checkpoint, if it is one of the same run; the number of rounds and the route may differ."""
    import xarray

    ds = xarray.load_dataset(file, engine="h5netcdf")
    found = json.loads(ds.attrs.get("provenance", "{}")).get("arguments", {})
    differing = [f"{k} was {found.get(k)!r} and is {v!r}" for k, v in json.loads(json.dumps(arguments)).items() if found.get(k) != v]
    if differing:
        raise ValueError(f"checkpoint {file} belongs to another run: {'; '.join(differing)}. Take another file, or remove this one")
    return ds


@dataclass(frozen=True)
class Floor:
    r"""The level at which the error of a run stands.

    Attributes:
        value: mean over the window and the seeds.
        se: standard error over the seeds; infinite for a single seed.
        power_ratio: :math:`\rho_C`, the mean of ``power`` in the window divided by :math:`\kappa^2 \sum_i |x_i|^2/2`, its value at the start.

    Example:
        >>> Floor(1.0, 0.1, 0.9).value
        1.0
    """

    value: float
    se: float
    power_ratio: float


def floor(ds: xarray.Dataset, last: float = 1 / 3, power0: float | None = None) -> Floor:
    r"""The measured floor: the mean of ``error`` over the last part of the rounds.

    Args:
        ds: result of :func:`train`.
        last: which part of the rounds, in (0, 1].
        power0: :math:`\operatorname{tr} C` at the start for infinite width; :math:`\kappa^2 n/2` (unit samples) if None.

    Returns:
        A :class:`Floor`.

    Raises:
        ValueError: ``last`` outside (0, 1], or ``power0`` not positive.

    Example:
        >>> from deeplimits.masking import random_task
        >>> ds = train(*random_task(20, 10), 400, 4, 1, 0.5, 0.1, rounds=60, seed=[0, 1, 2], progress=False)
        >>> found = floor(ds)
        >>> 0.1 < found.value < 1.0, 0.7 < found.power_ratio < 1.0
        (True, True)
    """
    if not 0 < _checks.number("last", last) <= 1:
        raise ValueError(f"last must lie in (0, 1]: the part of the rounds to average over; got {last!r}")
    if power0 is not None:
        _checks.positive("power0", power0)
    rounds = ds.sizes["round"] - 1
    window = ds.isel(round=slice(min(rounds, int(rounds * (1 - last)) + 1), None))
    means = window.error.astype("float64").mean("round").values
    if power0 is None:
        arguments = json.loads(ds.attrs["provenance"])["arguments"]
        power0 = arguments["entry_std"] ** 2 * arguments["n"] / 2
    se = float(means.std(ddof=1) / math.sqrt(means.size)) if means.size > 1 else math.inf
    return Floor(float(means.mean()), se, float(window.power.astype("float64").mean()) / power0)

"""Training an ensemble of networks side by side (Part IV, *Training near the boundary*).

Blocks of networks share the cores; the results are one labelled dataset.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deeplimits import _checks, _runs, activations, datasets, devices
from deeplimits.layers.base import resolve
from deeplimits.layers.dense import WEIGHTS
from deeplimits.training import grid
from deeplimits.training.program import Program
from deeplimits.training.starts import batch_order, starting_layers

if TYPE_CHECKING:
    import xarray

Tensor = torch.Tensor
OPTIMIZERS = ("sgd", "adam")
#: What is recorded, with words and units.
MEASURES = {
    "train_loss": ("training loss (mean cross-entropy)", "nat"),
    "train_accuracy": ("training accuracy", "1"),
    "test_loss": ("test loss (mean cross-entropy)", "nat"),
    "test_accuracy": ("test accuracy", "1"),
}
#: Numbers that the states and parameters of a block may take: few enough that a block stays near the cache.
BLOCK_NUMBERS = {"cpu": 1 << 23, "device": 1 << 28}


def train_ensemble(depth: int | Sequence[int] = 20, width: int | Sequence[int] = 32, activation: str | Sequence[str] = "tanh",
                   weight_std: float | str | Sequence[float | str] | None = None, bias_std: float | Sequence[float] = 0.0,
                   lr: float | Sequence[float] = 0.01, seed: int | Sequence[int] = 0, *, weight_ratio: float | Sequence[float] | None = None,
                   networks: Sequence[Mapping[str, Any]] | None = None, weights: str = "gaussian", readout_std: float | None = 1.0,
                   optimizer: str = "sgd", epochs: int = 10, batch_size: int = 64, record: Sequence[int] | None = None,
                   data: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None, resume: xarray.Dataset | None = None,
                   device: Any = None, dtype: torch.dtype = torch.float32, progress: bool = True) -> xarray.Dataset:
    r"""Train many small networks at once, and record losses and accuracies against the epoch.

    Each network is :math:`x_{k+1} = \varphi(W_kx_k + b_k)`, ``depth`` times, and a linear readout; it minimizes the mean
    cross-entropy. Networks of one depth, width and activation are trained as one batched tensor program with its own
    backward pass; different :math:`\sigma_w`, :math:`\sigma_b`, rates and seeds share it, different shapes do not. So an
    ensemble of few shapes and many seeds is fast. The result is that of an ordinary loop over the networks, up to rounding.

    The first eight arguments may be lists: each list becomes a dimension of the result. All networks of one seed begin with
    the same normal variables, scaled by their :math:`\sigma_w`, and see the same batches, so their differences are paired.

    Args:
        depth: number of hidden layers.
        width: their size.
        activation: name of the activation.
        weight_std: :math:`\sigma_w`, or the name of an initialization; ``"critical"`` if None.
        bias_std: :math:`\sigma_b`.
        lr: the learning rate.
        seed: key of the initial weights and of the order of the batches.
        weight_ratio: :math:`\sigma_w` in units of its critical value for this activation and ``bias_std``; in place of ``weight_std``.
        networks: instead of a grid, a list of dicts with the names of these eight arguments; dimension ``network``.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        readout_std: the weights of the readout have variance ``readout_std**2 / width``, its biases are zero; None takes the
            :math:`\sigma_w` of each network.
        optimizer: ``"sgd"`` (plain gradient descent on batches) or ``"adam"`` (with torch's other parameters).
        epochs: passes over the training examples.
        batch_size: examples in a batch; the last batch of an epoch may be smaller.
        record: the epochs after which to evaluate on all examples, 0 being the start; all if None.
        data: ``((x, y), (x_test, y_test))`` with x of shape ``(n, dim_in)`` and whole labels y from 0; the digits if None.
        resume: an interrupted result of the same call: only what is not finished in it is trained.
        device: where to compute; the default device if None, which is the CPU at first. The same networks are drawn for every device.
        dtype: float32 or float64.
        progress: whether to show a line of text when training takes longer than two seconds.

    Returns:
        A dataset with ``train_loss``, ``train_accuracy``, ``test_loss`` and ``test_accuracy`` over the listed arguments and
        ``epoch``; ``diverged``, true where the loss of a network stopped being finite (its loss and accuracy are NaN from there);
        ``finished``; and ``weight_scale``, the :math:`\sigma_w` used. The provenance is in ``attrs`` (JSON). After an interrupt it holds what was
        recorded until then: ``attrs["interrupted"]`` is 1, and what is missing is NaN and not ``finished``.

    Raises:
        ValueError: an argument out of range; the message names it.
        TypeError: data that are not floating point.

    Source:
        Hand-written here; the questions asked of it are those of Schoenholz et al. (2017) and Tamai et al. (2025).

    Example:
        >>> ds = train_ensemble(depth=[2, 4], width=16, lr=0.05, seed=range(3), epochs=2, progress=False)
        >>> dict(ds.train_loss.sizes)
        {'depth': 2, 'seed': 3, 'epoch': 3}
        >>> bool((ds.train_loss.isel(epoch=2) < ds.train_loss.isel(epoch=0)).all())
        True
    """
    lists = dict(zip(grid.AXES, (activation, depth, width, weight_std, weight_ratio, bias_std, lr, seed), strict=True))
    dtype, home = resolve(None, dtype, devices.place(device))
    if home.type == "mps" and dtype == torch.float64:
        raise TypeError("device 'mps' has no float64: pass dtype=torch.float32")
    examples = _examples(data, dtype, home)
    plan = Plan(
        grid.make(lists, networks, _checks.choice("weights", weights, WEIGHTS)), *examples, weights,
        None if readout_std is None else _checks.positive("readout_std", readout_std),
        _checks.choice("optimizer", optimizer, OPTIMIZERS), _checks.integer("epochs", epochs, minimum=0), _batch(batch_size, len(examples[0][1])),
        grid.whole("record", range(epochs + 1) if record is None else list(record), epochs), data is None, dtype, home)
    results, finished = plan.blank() if resume is None else plan.taken_up(resume)
    interrupted = _execute(plan, results, finished, bool(progress))
    return _dataset(plan, results, finished, interrupted)


def _batch(batch_size: int, examples: int) -> int:
    if _checks.integer("batch_size", batch_size) > examples:
        raise ValueError(f"batch_size must be at most the number of training examples, {examples}; got {batch_size}")
    return batch_size


def _examples(data: Any, dtype: torch.dtype, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    if data is None:
        parts = [datasets.digits(split, dtype=dtype, device=device) for split in ("train", "test")]
        return [(part.images, part.labels) for part in parts]
    try:
        (x, y), (x_test, y_test) = data
    except (TypeError, ValueError):
        raise ValueError("data must be ((x, y), (x_test, y_test))") from None
    checked = []
    for name, inputs, labels in (("data: x", x, y), ("data: x_test", x_test, y_test)):
        if _checks.finite(name, inputs).ndim != 2 or inputs.shape[1] != x.shape[1] or not len(inputs):
            raise ValueError(f"{name} must have shape (n, dim_in), the same dim_in for training and test; got {tuple(inputs.shape)}")
        labels = torch.as_tensor(labels)
        if labels.shape != inputs.shape[:1] or labels.is_floating_point() or int(labels.min()) < 0:
            raise ValueError(f"{name.replace('x', 'y', 1)} must hold one whole label from 0 upwards for each row of x; got {labels.dtype}, {tuple(labels.shape)}")
        checked.append((inputs.to(dtype=dtype, device=device), labels.to(dtype=torch.int64, device=device)))
    return checked


@dataclass(frozen=True)
class Plan:
    """A checked ensemble."""

    grid: grid.Grid
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    weights: str
    readout_std: float | None
    optimizer: str
    epochs: int
    batch_size: int
    record: np.ndarray
    digits: bool
    dtype: torch.dtype
    device: torch.device

    @property
    def classes(self) -> int:
        return 1 + max(int(self.train[1].max()), int(self.test[1].max()))

    def blank(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        shape = (len(self.grid.networks), len(self.record))
        return {name: np.full(shape, np.nan) for name in MEASURES}, np.zeros(shape[0], dtype=bool)

    def taken_up(self, earlier: xarray.Dataset) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The finished networks of an earlier result of the same arguments."""
        if json.loads(earlier.attrs.get("provenance", "{}")).get("arguments") != self.arguments():
            raise ValueError("resume must be a result of train_ensemble with the same arguments; its provenance tells of others")
        results, _ = self.blank()
        for name in MEASURES:
            results[name][:] = earlier[name].transpose(*self.grid.dims, "epoch").values.reshape(results[name].shape)
        return results, earlier["finished"].transpose(*self.grid.dims).values.reshape(-1).astype(bool)

    def arguments(self) -> dict[str, Any]:
        """What the result depends on, as JSON can hold it."""
        told = {name: np.asarray(value[1] if isinstance(value, tuple) else _name(value)).tolist() for name, value in self.grid.coords.items()}
        return told | {
            "networks": len(self.grid.networks), "weights": self.weights, "readout_std": self.readout_std, "optimizer": self.optimizer,
            "epochs": self.epochs, "batch_size": self.batch_size, "record": self.record.tolist(),
            "data": "digits" if self.digits else f"{len(self.train[0])} and {len(self.test[0])} examples of {self.train[0].shape[1]} numbers",
            "dtype": str(self.dtype).removeprefix("torch.")}

    def blocks(self, finished: np.ndarray) -> list[list[int]]:
        """Networks to train together: one shape, small enough for the cache, and at least one block for each core."""
        kind, cores = ("cpu", _runs.cores()) if self.device.type == "cpu" else ("device", 1)
        found = []
        for group in self.grid.groups():
            group = [place for place in group if not finished[place]]
            one = self.grid.networks[group[0]] if group else None
            if one is None:
                continue
            numbers = one.depth * one.width * (one.width + self.batch_size)
            count = max(min(cores, len(group)), -(-len(group) * numbers // BLOCK_NUMBERS[kind]))
            found += [part.tolist() for part in np.array_split(group, min(count, len(group)))]
        return found


def _name(value: Any) -> Any:
    return value.name if isinstance(value, activations.Activation) else value


class _Block:
    """One block of networks from start to end."""

    def __init__(self, plan: Plan, places: list[int], steps: _runs.Steps):
        self.plan, self.places, self.steps = plan, places, steps
        self.networks = [plan.grid.networks[place] for place in places]
        unit = activations.get(self.networks[0].activation)
        starts = [starting_layers(n.depth, n.width, unit, n.weight_std, n.bias_std, plan.weights, n.seed, plan.train[0].shape[1], plan.classes,
                                  plan.readout_std or n.weight_std) for n in self.networks]
        self.program = Program(starts, unit, [n.lr for n in self.networks], plan.optimizer, plan.dtype, plan.device)

    def epoch(self, number: int) -> None:
        x, labels = self.plan.train
        seeds = [n.seed for n in self.networks]
        orders = {seed: batch_order(seed, number, len(x)) for seed in set(seeds)}
        order = torch.stack([orders[seed] for seed in seeds]).to(self.plan.device)
        for picked in order.split(self.plan.batch_size, dim=1):
            self.steps.check()
            self.program.step(x[picked], labels[picked])

    def run(self, keep: Callable[[int, dict[str, Tensor]], None]) -> None:
        for number in range(int(self.plan.record[-1]) + 1):
            if number:
                self.epoch(number)
            column = int(np.searchsorted(self.plan.record, number))
            if self.plan.record[column] == number:
                pairs = [value for part in (self.plan.train, self.plan.test) for value in self.program.evaluate(*part)]
                keep(column, dict(zip(MEASURES, pairs, strict=True)))
            self.steps.advance()


def _execute(plan: Plan, results: dict[str, np.ndarray], finished: np.ndarray, progress: bool) -> bool:
    """Train all blocks, one thread a core, each with single-threaded kernels; whether it was interrupted."""
    blocks, lock = plan.blocks(finished), threading.Lock()

    def work(index: int, steps: _runs.Steps) -> None:
        places = blocks[index]

        def keep(column: int, values: dict[str, Tensor]) -> None:
            with lock:
                for name, value in values.items():
                    results[name][places, column] = value.numpy()
                if column == len(plan.record) - 1:
                    finished[places] = True

        steps.check()
        with torch.no_grad():
            _Block(plan, places, steps).run(keep)

    return _runs.run_blocks(work, len(blocks), steps=int(plan.record[-1]) + 1, unit="epoch", name="train", progress=progress, device=plan.device.type)


def _dataset(plan: Plan, results: dict[str, np.ndarray], finished: np.ndarray, interrupted: bool) -> xarray.Dataset:
    import xarray

    found, lost = plan.grid, results["train_loss"]
    interrupted = interrupted and not bool(finished.all())
    begun = np.isfinite(results["train_loss"][:, 0]) | finished
    if interrupted and not begun.any():
        raise KeyboardInterrupt("training was interrupted before anything was recorded")
    variables = {name: ((*found.dims, "epoch"), results[name].reshape(*found.shape, -1), {"long_name": words, "units": unit})
                 for name, (words, unit) in MEASURES.items()}
    diverged = finished & ~np.isfinite(lost).all(1)
    for name, values, words in (("diverged", diverged, "loss no longer finite"), ("finished", finished, "trained to the end")):
        variables[name] = (found.dims, values.reshape(found.shape), {"long_name": words})
    used = np.array([n.weight_std for n in found.networks])
    variables["weight_scale"] = (found.dims, used.reshape(found.shape), {"long_name": "weight standard deviation σ_w", "units": "1"})
    coords = {name: value if isinstance(value, tuple) else _name(value) for name, value in found.coords.items()}
    coords["epoch"] = ("epoch", plan.record, {"long_name": "epochs of training", "units": "epoch"})
    provenance = {"versions": _runs.versions(), "arguments": plan.arguments(), "device": str(plan.device)}
    return xarray.Dataset(variables, coords, {"provenance": json.dumps(provenance), "interrupted": int(interrupted)})

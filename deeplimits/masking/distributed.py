r"""Independent Subnet Training on several processes, each with its own part of the neurons (Part VI, *Partitions and independent subnets*).

Start it with torchrun, which makes the processes (here two, on this machine)::

    torchrun --nproc-per-node=2 -m deeplimits.masking.distributed --subnetworks 4 --rounds 100 --checkpoint run.nc

All processes draw the same partition from the seed and the round, so no mask is ever sent; after the local steps each
process sends the weights that it trained, and nothing else. The weights are those of :func:`deeplimits.masking.train` with
``masks="partition"`` and the same seed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from deeplimits import _checks
from deeplimits.masking import rounds as steps
from deeplimits.masking.run import Run, _plan, load, save
from deeplimits.masking.tasks import digits_task, random_task

if TYPE_CHECKING:
    import xarray

Tensor = torch.Tensor

__all__ = ["WorkerLost", "floats_sent", "join", "main", "report", "train"]


class WorkerLost(RuntimeError):
    """Another process of the run is gone; the message names the round and the checkpoint to go on from."""


def floats_sent(width: int, dim: int, subnetworks: int, local_steps: int) -> tuple[float, float]:
    r"""Numbers that cross the network in a round for each of S workers: independent subnets, and data parallel training.

    A number counts once, not at its sender and again at its receiver. A worker fetches its part from a coordinator and gives it back,
    :math:`2md/S`; in a ring all-reduce of the gradient it passes on :math:`2(S-1)md/S` in *each* of the :math:`\tau` steps. The second is
    :math:`(S-1)\tau` times the first. :func:`train` has no coordinator: its P processes gather all parts, :math:`(P-1)md/P` numbers each.

    Args:
        width: number of neurons m.
        dim: dimension of the inputs d.
        subnetworks: number of workers S.
        local_steps: number :math:`\tau` of steps in a round.

    Returns:
        The two numbers of floats.

    Source:
        Yuan et al. (2019) for independent subnets.

    Example:
        >>> subnets, data_parallel = floats_sent(4000, 64, 8, 10)
        >>> data_parallel / subnets
        70.0
    """
    part = 2 * _checks.integer("width", width) * _checks.integer("dim", dim) / _checks.integer("subnetworks", subnetworks)
    return part, part * (subnetworks - 1) * _checks.integer("local_steps", local_steps)


def train(X: Tensor, y: Tensor, width: int, subnetworks: int, local_steps: int, lr: float, *, rounds: int = 100, seed: int = 0,
          entry_std: float = 1.0, test: tuple[Tensor, Tensor] | None = None, allow_unstable: bool = False,
          checkpoint: str | Path | None = None, every: int = 10, progress: bool = True,
          after_round: Callable[[int], None] | None = None) -> xarray.Dataset:
    """Independent Subnet Training in a process group: call it in every process with the same arguments.

    ``torch.distributed.init_process_group`` must have been called; :func:`main` does it. A single process that has no group
    trains alone. Each process trains ``subnetworks / processes`` parts.

    Args:
        X: samples, shape ``(n, d)``, the same in all processes, as in the theory.
        y: targets, shape ``(n,)``.
        width: number of neurons; a multiple of ``subnetworks``.
        subnetworks: number of parts; a multiple of the number of processes.
        local_steps: steps of each part in a round.
        lr: step size for the sum over the samples.
        rounds: number of rounds.
        seed: key of the weights and of the partitions.
        entry_std: standard deviation of the entries of W at the start.
        test: samples and targets to measure error and accuracy on.
        allow_unstable: run beyond the stability bound instead of raising an error.
        checkpoint: a netCDF file that the first process writes and from which all go on.
        every: rounds between two writes of the checkpoint.
        progress: whether the first process shows a line of text.
        after_round: called in every process with the number of completed rounds.

    Returns:
        The dataset of :func:`deeplimits.masking.train`, in every process.

    Raises:
        ValueError: parts that do not divide among the processes; the errors of :func:`deeplimits.masking.train`.
        WorkerLost: another process died or cannot be reached.

    Source:
        Yuan et al. (2019).

    Example:
        >>> X, y = random_task(20, 10)
        >>> ds = train(X, y, width=40, subnetworks=4, local_steps=2, lr=0.02, rounds=5, progress=False)
        >>> dict(ds.error.sizes)
        {'seed': 1, 'round': 6}
    """
    rank, processes = _place()
    if _checks.integer("subnetworks", subnetworks) % processes:
        raise ValueError(f"subnetworks must be a multiple of the number of processes, {processes}; got {subnetworks}")
    _checks.integer("every", every)
    plan = _plan(X, y, width, subnetworks, local_steps, None, lr, "partition", rounds, seed, entry_std, None, "unchanged", "free", test,
                 "gathered", allow_unstable, getattr(X, "device", None))  # each process where its X is
    file = None if checkpoint is None else Path(checkpoint)
    run = _DistributedRun(plan, rank, processes, file)
    run.begin()
    return run.train(every, progress, allow_unstable, after_round)


def _place() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


class _DistributedRun:
    """One process of a run."""

    def __init__(self, plan: Any, rank: int, processes: int, file: Path | None):
        self.plan, self.rank, self.processes, self.file = plan, rank, processes, file
        self.run = Run(plan)
        self.saved: int | None = None

    def begin(self) -> None:
        """Go on from the checkpoint, which only the first process reads: its state is sent to the others."""
        found: list[Any] = [None]
        if self.rank == 0 and self.file is not None and self.file.exists():
            try:
                before = load(self.file, self.plan.arguments)
                self.run = Run(self.plan, before)
                self.saved = self.run.state[1]
            except ValueError as error:
                found = [error]
        if self.processes == 1:
            if found[0] is not None:
                raise found[0]
            return
        found = [found[0] if found[0] is not None else (self.run.state, self.run.rows, self.saved)]
        with self.guarded("the start"):
            dist.broadcast_object_list(found, src=0)
        if isinstance(found[0], ValueError):
            raise found[0]
        self.run.state, self.run.rows, self.saved = found[0]

    def step(self) -> None:
        """Train the own parts and gather all of them."""
        plan, (W, k) = self.plan, self.run.state
        seed, m, d = plan.seeds[0], plan.law.width, plan.X.shape[1]
        order = torch.argsort(plan.law.owners(seed, k), stable=True).to(W.device)
        share = m // self.processes
        own = order[self.rank * share:(self.rank + 1) * share].reshape(-1, m // plan.law.subnetworks)
        start = W[0, own]
        moved = (steps.local_training(start, self.run.signs[0, own], plan.problem) - start).reshape(share, d)
        parts = [moved]
        if self.processes > 1:
            parts = [torch.empty_like(moved, device=W.device) for _ in range(self.processes)]
            with self.guarded(f"round {k + 1}"):
                dist.all_gather(parts, moved.contiguous())
        new = W.clone()
        new[0, order] += torch.cat(parts)
        self.run.rows[k:] = [self.run.watch(W, torch.relu(plan.X @ W.mT))]
        self.run.state = new, k + 1

    @contextmanager
    def guarded(self, where: str) -> Iterator[None]:
        """A lost connection, said in words."""
        try:
            yield
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            if self.file is None:
                help = "without a checkpoint its rounds are lost: name one with checkpoint= (--checkpoint)"
            elif self.saved is None:
                help = f"no checkpoint had been written yet; start the same command again (every= sets how often {self.file} is written)"
            else:
                help = f"{self.file} holds the first {self.saved} rounds: start the same command again to go on from there"
            raise WorkerLost(f"process {self.rank} of {self.processes} lost the others in {where}, so the run stopped; {help}. ({reason})") from error

    def train(self, every: int, progress: bool, allow_unstable: bool, after_round: Callable[[int], None] | None) -> xarray.Dataset:
        from tqdm import tqdm

        run, interrupted = self.run, False
        bar = tqdm(total=self.plan.rounds, initial=run.state[1], unit="round", delay=2.0, disable=not progress or self.rank > 0, desc="independent subnets")
        try:
            while run.state[1] < self.plan.rounds:
                self.step()
                bar.update(run.state[1] - bar.n)
                if run.state[1] % every == 0:
                    run.check(allow_unstable)
                    self.save(False)
                if after_round is not None:
                    after_round(run.state[1])
        except KeyboardInterrupt:
            interrupted = True
        finally:
            bar.close()
        if not interrupted:
            run.check(allow_unstable)
        self.save(interrupted)
        return run.dataset(interrupted)

    def save(self, interrupted: bool) -> None:
        """The first process writes; the others know what was written."""
        if self.file is None:
            return
        if self.rank == 0:
            save(self.run.dataset(interrupted), self.file)
        self.saved = self.run.state[1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deeplimits.masking.distributed", description="Independent Subnet Training on several processes.")
    parser.add_argument("--data", choices=["digits", "random"], default="digits", help="even against odd digits, or random points with random labels")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--width", type=int, default=2000, help="neurons, a multiple of --subnetworks")
    parser.add_argument("--subnetworks", type=int, default=4, help="parts, a multiple of the number of processes")
    parser.add_argument("--local-steps", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.01, help="step size for the sum over the samples")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, help="netCDF file to write, and to go on from")
    parser.add_argument("--every", type=int, default=10, help="rounds between two writes of the checkpoint")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for another process")
    return parser.parse_args()


def join(timeout: float = 60.0) -> None:
    """Join the group that torchrun names in the environment; processes of one machine talk over its loopback.

    Example:
        >>> join()
        Traceback (most recent call last):
        ...
        RuntimeError: start this with torchrun, for instance: torchrun --nproc-per-node=2 -m deeplimits.masking.distributed
    """
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise RuntimeError("start this with torchrun, for instance: torchrun --nproc-per-node=2 -m deeplimits.masking.distributed")
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
        if loopback:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback[0])
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=_checks.positive("timeout", timeout)))


def main() -> int:
    """The command line; see the top of this module.

    Returns:
        0, or 1 where another process was lost.

    Example:
        >>> callable(main)
        True
    """
    given = _arguments()
    torch.set_num_threads(1)
    X, y = digits_task(given.samples) if given.data == "digits" else random_task(given.samples)
    test = digits_task(split="test") if given.data == "digits" else None
    join(given.timeout)
    rank, processes = _place()
    try:
        ds = train(X, y, given.width, given.subnetworks, given.local_steps, given.lr, rounds=given.rounds, seed=given.seed, test=test,
                   checkpoint=given.checkpoint, every=given.every)
    except WorkerLost as error:
        print(f"deeplimits: {error}", file=sys.stderr, flush=True)
        return 1
    except ValueError as error:
        if rank == 0:
            print(f"deeplimits: {error}", file=sys.stderr, flush=True)
        return 2
    if rank == 0:
        report(ds, processes)
    dist.destroy_process_group()
    return 0


def report(ds: xarray.Dataset, processes: int = 1) -> None:
    """Print what was done, in a few lines.

    Args:
        ds: result of :func:`train`.
        processes: how many processes did it.

    Example:
        >>> report(train(*random_task(20, 10), width=40, subnetworks=4, local_steps=2, lr=0.02, rounds=5, progress=False))
        5 rounds on 1 process, 4 subnetworks of 10 neurons
        squared error ...
        floats per worker and round 200; data parallel 1200, 6 times as many
        norm of the weights ...
    """
    given, done = json.loads(ds.attrs["provenance"])["arguments"], ds.sizes["round"] - 1
    subnets, parallel = floats_sent(given["width"], given["dim"], given["subnetworks"], given["local_steps"])
    last = ds.isel(seed=0)
    print(f"{done} rounds on {processes} process{'es' if processes > 1 else ''}, {given['subnetworks']} subnetworks of "
          f"{given['width'] // given['subnetworks']} neurons")
    print(f"squared error {float(last.error[0]):.4g} -> {float(last.error[-1]):.4g}")
    if "accuracy" in ds:
        print(f"test accuracy {float(last.accuracy[0]):.3f} -> {float(last.accuracy[-1]):.3f}")
    print(f"floats per worker and round {subnets:.0f}; data parallel {parallel:.0f}, {parallel / subnets:g} times as many")
    print(f"norm of the weights {float((last.weights.astype('float64') ** 2).sum() ** 0.5):.5f}")


if __name__ == "__main__":
    sys.exit(main())

"""What every long run shares: the cores, the versions, and independent blocks of work that show progress and can be stopped."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch


class Stopped(Exception):
    """Leaves a block of work after an interrupt; what the block has stored stays."""


class Steps:
    """The steps a block of work has made; the way it hears of an interrupt."""

    def __init__(self, stop: threading.Event):
        self.made, self._stop = 0, stop

    def check(self) -> None:
        """Leave the block if the run was interrupted."""
        if self._stop.is_set():
            raise Stopped

    def advance(self) -> None:
        """Count one step."""
        self.made += 1
        self.check()


def cores() -> int:
    """The cores this process may use. Not torch's number of threads: blocks run side by side, their kernels on one thread."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """The versions of what computes the numbers."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    try:
        found["deeplimits"] = version("deeplimits")
    except PackageNotFoundError:  # run from a source tree that was not installed
        found["deeplimits"] = "not installed"
    return found


@contextmanager
def _one_thread(wanted: bool) -> Iterator[None]:
    threads = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_blocks(work: Callable[[int, Steps], None], blocks: int, *, steps: int, unit: str, name: str, progress: bool, device: str = "cpu") -> bool:
    """Run ``work(index, steps)`` for every block; whether an interrupt stopped it.

    On a CPU one block a core, each with single-threaded kernels: blocks are independent, so results do not depend on it.
    """
    from tqdm import tqdm

    stop, on_cpu = threading.Event(), device == "cpu"
    counters = [Steps(stop) for _ in range(blocks)]
    bar = tqdm(total=steps * blocks, unit=unit, delay=2.0, disable=not progress, desc=name)
    pool = ThreadPoolExecutor(max_workers=max(1, min(cores(), blocks)) if on_cpu else 1)
    with _one_thread(on_cpu):
        try:
            waiting = {pool.submit(work, index, counter) for index, counter in enumerate(counters)}
            while waiting:
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
                bar.update(sum(counter.made for counter in counters) - bar.n)
                for future in finished:
                    future.result()
        except KeyboardInterrupt:
            stop.set()
        except BaseException:
            stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            bar.close()
    return stop.is_set()

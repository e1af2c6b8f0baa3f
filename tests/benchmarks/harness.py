"""How a ratio is measured: two workloads in turn, warm, several times; peak memory in a process of its own."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """Something to time: ``run()`` does ``units`` units of work (network-layers, say)."""

    run: Callable[[], object]
    units: float = 1.0


@dataclass(frozen=True)
class Aim:
    """What a ratio should be: ``Aim(at_least=100)``, ``Aim(at_most=1.6)``, or nothing."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else "-"

    def verdict(self, ratio: float) -> str:
        if self.at_least is None and self.at_most is None:
            return ""
        below = self.at_least is not None and ratio < self.at_least
        above = self.at_most is not None and ratio > self.at_most
        return "missed" if below or above or math.isnan(ratio) else "met"


@dataclass(frozen=True)
class Result:
    """One line of the table. ``ours`` and ``baseline`` are medians per unit; ``ratio`` that over the rounds."""

    name: str
    ours: float
    baseline: float
    unit: str
    ratio: float
    lowest: float
    highest: float
    aim: str
    verdict: str


@dataclass(frozen=True)
class Timed:
    """Ours against a baseline. ``speedup``: baseline / ours; otherwise ours / baseline (a cost)."""

    name: str
    prepare: Callable[[], tuple[Workload, Workload]]
    aim: Aim = Aim()
    speedup: bool = True
    rounds: int = 5

    def measure(self) -> Result:
        ours, baseline = self.prepare()
        rows = interleave(ours, baseline, self.rounds)
        ratios = [b / a if self.speedup else a / b for a, b in rows]
        mine, theirs = (statistics.median(column) for column in zip(*rows, strict=True))
        ratio = statistics.median(ratios)
        verdict = self.aim.verdict(ratio)
        return Result(self.name, mine, theirs, "s", ratio, min(ratios), max(ratios), str(self.aim), verdict)


@dataclass(frozen=True)
class Memory:
    """Peak memory of two programs, each a fresh process; the ratio is ours / baseline."""

    name: str
    ours: str
    baseline: str
    aim: Aim = Aim()

    def measure(self) -> Result:
        mine, theirs = peak_memory(self.ours), peak_memory(self.baseline)
        ratio = mine / theirs
        return Result(self.name, mine, theirs, "B", ratio, ratio, ratio, str(self.aim), self.aim.verdict(ratio))


def interleave(ours: Workload, baseline: Workload, rounds: int) -> list[tuple[float, float]]:
    """Seconds per unit of both, in turn, so that a busy machine slows both; one warm-up of each goes first."""
    ours.run()
    baseline.run()
    rows = []
    for number in range(rounds):
        pair = (ours, baseline) if number % 2 == 0 else (baseline, ours)
        seconds = {id(workload): _seconds(workload) for workload in pair}
        rows.append((seconds[id(ours)], seconds[id(baseline)]))
    return rows


def _seconds(workload: Workload) -> float:
    start = time.perf_counter()
    workload.run()
    return (time.perf_counter() - start) / workload.units


# On Linux the figure of getrusage is inherited from the parent; that of /proc is the program's own.
_REPORT = """
import pathlib, re, resource, sys
status = pathlib.Path("/proc/self/status")
own = re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text()) if status.exists() else None
usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print("peak", int(own.group(1)) * 1024 if own else usage)
"""


def peak_memory(program: str) -> float:
    """Bytes of resident memory at the peak of a Python program run in a process of its own."""
    command = [sys.executable, "-c", program + "\n" + _REPORT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the measured program failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def quantity(value: float, unit: str) -> str:
    """A number with a prefix: 0.00012 s is 120 µs."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    step = max(-3, min(3, math.floor(math.log10(abs(value)) / 3)))
    return f"{value / 1000.0**step:.3g} {['n', 'µ', 'm', '', 'k', 'M', 'G'][step + 3]}{unit}"


HEAD = ("benchmark", "ours", "baseline", "ratio", "lowest-highest", "aim", "verdict")


def cells(result: Result) -> tuple[str, ...]:
    spread = "" if result.lowest == result.highest else f"{result.lowest:.3g}-{result.highest:.3g}"
    return (
        result.name,
        quantity(result.ours, result.unit),
        quantity(result.baseline, result.unit),
        f"{result.ratio:.3g}",
        spread,
        result.aim,
        result.verdict,
    )


def table(results: Sequence[Result]) -> str:
    """The results in columns."""
    rows = [HEAD, *(cells(result) for result in results)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEAD))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])

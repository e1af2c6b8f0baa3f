"""Bond directed percolation in 1+1 dimensions (Part IV, *Directed percolation and convolutional networks*).

Only occupied sites cost anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from deeplimits import _checks, _runs

if TYPE_CHECKING:
    import xarray

#: The critical probability of an open bond, with an uncertainty of 5 in the ninth digit (Jensen 1999).
CRITICAL_PROBABILITY = 0.644700185

#: The exponents in 1+1 dimensions (Jensen 1999): order parameter, decay, growth of a seed, spread of a seed, and others.
EXPONENTS = MappingProxyType({"beta": 0.276486, "nu_parallel": 1.733847, "nu_perpendicular": 1.096854, "delta": 0.159464,
                              "theta": 0.313686, "two_over_z": 1.265226, "z": 1.580745})

STARTS = ("full", "seed")
_BLOCK_SITES = 1 << 15
_BLOCK_SEEDS = 1024
_MOST_SITES = 1 << 27


def directed_percolation(depth: int, probability: float = CRITICAL_PROBABILITY, *, start: str = "full", size: int | None = None,
                         samples: int = 32, record: Sequence[int] | None = None, sites: bool = False, temporal_disorder: float = 0.0,
                         seed: int = 0, progress: bool = True) -> xarray.Dataset:
    r"""Run bond directed percolation on a ring, from full occupation or from one seed.

    A site of the next layer is occupied if one of its two neighbours below is occupied and the bond from it is open:

    .. math:: s_{l+1}(x) = \bigl(s_l(x) \wedge B_l(x)\bigr) \vee \bigl(s_l(x \pm 1) \wedge B'_l(x)\bigr),

    with independent bonds, open with the given probability; the sign alternates, so that a picture does not drift. Bonds of
    empty sites are not drawn, which changes no law. A uniform number has 53 binary digits: the probability is met to 1e-16,
    and with whole numbers of sites there is no other rounding.

    Args:
        depth: number of layers (steps of time).
        probability: of an open bond.
        start: ``"full"``, every site occupied; ``"seed"``, one site.
        size: number of sites of the ring; may be None for a seed, which then lives on an infinite lattice.
        samples: number of independent runs.
        record: depths to record; about twelve per decade, and 0, if None.
        sites: whether to keep the pictures, one truth value per site (needs a ``size``).
        temporal_disorder: in each layer of each run the probability is raised or lowered by so much, at the toss of one coin
            for all its sites.
        seed: key of the random streams.
        progress: whether to show a line of text when the run takes longer than two seconds.

    Returns:
        A dataset over ``sample`` and ``depth`` with ``active``, the number of occupied sites; on a ring ``density``; from a
        seed ``spread``, the sum over occupied sites of the squared distance from the seed (in sites, on the shorter way
        round a ring); with ``sites`` also ``occupied``. The provenance (JSON) is in ``attrs``. After an interrupt it holds
        what was recorded until then: ``attrs["interrupted"]`` is 1 and what is missing is NaN.

    Raises:
        ValueError: an argument out of range, or full occupation of an infinite lattice.

    Source:
        Kinzel (1985) for the model; Grassberger and de la Torre (1979) for runs from a seed.

    Example:
        >>> ds = directed_percolation(200, start="seed", samples=500, record=[0, 20, 200], seed=1)
        >>> ds.active.isel(depth=0).mean().item(), bool((ds.active.isel(depth=2) == 0).any())
        (1.0, True)
    """
    plan = _plan(depth, probability, start, size, samples, record, sites, temporal_disorder, seed)
    results, done = _execute(plan, bool(progress))
    return _dataset(plan, results, done)


def log_depths(depth: int, per_decade: int = 12) -> np.ndarray:
    """Zero, and whole depths up to ``depth`` that are evenly spaced in the logarithm.

    Example:
        >>> log_depths(10, per_decade=3).tolist()
        [0, 1, 2, 5, 10]
    """
    count = max(2, round(per_decade * np.log10(max(depth, 2))) + 1)
    return np.unique(np.concatenate([[0], np.geomspace(1, depth, count).round()])).astype(np.int64)


@dataclass(frozen=True)
class _Plan:
    """A checked run."""

    depth: int
    probability: float
    start: str
    size: int | None
    samples: int
    record: np.ndarray
    sites: bool
    disorder: float
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        return ("active", *(["spread"] if self.start == "seed" else []), *(["occupied"] if self.sites else []))

    def blocks(self) -> list[int]:
        size = _BLOCK_SEEDS if self.size is None else max(1, _BLOCK_SITES // self.size)
        return [min(size, self.samples - first) for first in range(0, self.samples, size)]


def _plan(depth, probability, start, size, samples, record, sites, disorder, seed) -> _Plan:
    depth, samples = _checks.integer("depth", depth), _checks.integer("samples", samples)
    probability = _checks.between("probability", probability, 0.0, 1.0)
    disorder = _checks.nonnegative("temporal_disorder", disorder)
    if not disorder <= probability <= 1 - disorder:
        raise ValueError(f"temporal_disorder must leave probabilities between 0 and 1; got {disorder} about {probability}")
    _checks.choice("start", start, STARTS)
    if size is not None:
        size = _checks.integer("size", size, minimum=3)
    elif start == "full" or sites:
        raise ValueError("size must be a number of sites of a ring: only a seed without pictures can live on an infinite lattice; "
                         f"got None with start={start!r}, sites={sites!r}")
    wanted = log_depths(depth) if record is None else np.unique(np.asarray(record))
    if wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer) or wanted[0] < 0 or wanted[-1] > depth:
        raise ValueError(f"record must hold whole depths between 0 and depth={depth}; got {record!r}")
    if sites and samples * wanted.size * size > _MOST_SITES:
        raise ValueError(f"sites=True would keep {samples * wanted.size * size} sites; at most {_MOST_SITES}: record fewer depths or samples")
    return _Plan(depth, probability, start, size, samples, wanted.astype(np.int64), bool(sites), disorder, _checks.integer("seed", seed, minimum=0))


def _bonds(plan: _Plan, samples: int, keys: np.ndarray, stride: int, rng: np.random.Generator) -> np.ndarray:
    """Which of the two bonds above each occupied site are open, shape (2, sites)."""
    draws = rng.random((2, keys.size))
    if not plan.disorder:
        return draws < plan.probability
    shift = plan.disorder * (2 * rng.integers(0, 2, samples) - 1)
    return draws < plan.probability + shift[keys // stride]


def _infinite(plan: _Plan, samples: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, int, int]]:
    """Occupied sites as sorted keys; the child of site x is x or x + 1, and the seed is at layer / 2."""
    stride = plan.depth + 2
    keys = np.arange(samples, dtype=np.int64) * stride
    for layer in range(plan.depth + 1):
        if layer:
            left, right = _bonds(plan, samples, keys, stride, rng)
            met = np.zeros_like(right)  # the right child that the next site has as its left one
            met[:-1] = (keys[1:] == keys[:-1] + 1) & left[1:]
            keys = np.stack([keys, keys + 1], 1)[np.stack([left, right & ~met], 1)]  # sorted, each site once
        yield keys, stride, -layer


def _ring(plan: _Plan, samples: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, int, int]]:
    """Occupied sites of rings, kept in one row of truth values; odd layers lie half a site to the right."""
    size = plan.size or 0
    occupied = np.zeros((samples, size), dtype=bool)
    occupied[:, slice(None) if plan.start == "full" else size // 2] = True
    row = occupied.reshape(-1)
    keys = np.flatnonzero(row)
    for layer in range(plan.depth + 1):
        if layer:
            here, there = _bonds(plan, samples, keys, size, rng)
            side = keys - 1 if layer % 2 else keys + 1
            side += np.where(side // size == keys // size, 0, size if layer % 2 else -size)
            row[:] = False
            row[keys[here]] = True
            row[side[there]] = True
            keys = np.flatnonzero(row)
        yield keys, size, layer % 2 - 2 * (size // 2)


def _watch(plan: _Plan, samples: int, keys: np.ndarray, stride: int, shift: int) -> dict[str, np.ndarray]:
    """What one layer shows; a site's distance from the seed is its place plus shift / 2."""
    sample = keys // stride
    seen = {"active": np.bincount(sample, minlength=samples).astype(float)}
    if plan.start == "seed":
        away = keys - sample * stride + 0.5 * shift
        if plan.size is not None:
            away = np.abs(away)
            away = np.minimum(away, plan.size - away)
        seen["spread"] = np.bincount(sample, weights=away * away, minlength=samples)
    if plan.sites:
        picture = np.zeros(samples * stride, dtype=bool)
        picture[keys] = True
        seen["occupied"] = picture.reshape(samples, stride)
    return seen


def _run_block(plan: _Plan, index: int, samples: int, keep: Callable[[int, dict[str, np.ndarray]], None], tick: Callable[[], None]) -> None:
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([plan.seed, index])))
    layers = (_infinite if plan.size is None else _ring)(plan, samples, rng)
    places = {int(depth): place for place, depth in enumerate(plan.record)}
    for layer, (keys, stride, shift) in enumerate(layers):
        tick()
        if layer in places:
            keep(places[layer], _watch(plan, samples, keys, stride, shift))
        if layer == plan.record[-1]:
            return


def _execute(plan: _Plan, progress: bool) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Blocks of runs on one thread a core; each has its own random stream and writes its own rows."""
    blocks = plan.blocks()
    starts = np.cumsum([0, *blocks])
    results = {name: np.full((plan.samples, plan.record.size, *([plan.size] if name == "occupied" else [])), np.nan if name != "occupied" else False)
               for name in plan.names}
    done = np.zeros((plan.samples, plan.record.size), dtype=bool)

    def work(index: int, steps: _runs.Steps) -> None:
        rows = slice(starts[index], starts[index + 1])

        def keep(place: int, seen: dict[str, np.ndarray]) -> None:
            for name, value in seen.items():
                results[name][rows, place] = value
            done[rows, place] = True

        _run_block(plan, index, blocks[index], keep, steps.advance)

    _runs.run_blocks(work, len(blocks), steps=plan.depth + 1, unit="layer", name="percolation", progress=progress)
    return results, done


_LONG_NAMES = {"active": ("number of occupied sites", "1"), "density": ("share of occupied sites", "1"),
               "spread": ("sum over occupied sites of the squared distance from the seed", "sites²"), "occupied": ("whether a site is occupied", "1")}


def _dataset(plan: _Plan, results: dict[str, np.ndarray], done: np.ndarray) -> xarray.Dataset:
    import xarray

    if not done.any():
        raise KeyboardInterrupt("the run was interrupted before anything was recorded")
    rows, places = done.any(1), done.any(0)
    if plan.size is not None:
        results = results | {"density": results["active"] / plan.size}
    variables = {name: (("sample", "depth", "site")[: array.ndim], array[rows][:, places], dict(zip(("long_name", "units"), _LONG_NAMES[name], strict=True)))
                 for name, array in results.items()}
    coords = {"sample": np.flatnonzero(rows), "depth": ("depth", plan.record[places], {"long_name": "depth", "units": "layers"})}
    arguments = {"depth": plan.depth, "probability": plan.probability, "start": plan.start, "size": plan.size, "samples": plan.samples,
                 "sites": plan.sites, "temporal_disorder": plan.disorder, "seed": plan.seed}
    provenance = {"function": "percolation.directed_percolation", "versions": _runs.versions(), "arguments": arguments}
    attrs = {"provenance": json.dumps(provenance), "probability": plan.probability, "seed": plan.seed, "interrupted": int(not done.all())}
    return xarray.Dataset(variables, coords, attrs)

"""Directed percolation against exact enumeration, against a plain loop, and against the known exponents."""

from __future__ import annotations

import _thread
import itertools
import json
import math
import random
import signal
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import xarray as xr

from deeplimits import percolation
from tests.support import assert_within_errors, no_implicit_device


def run(depth, *arguments, **options) -> xr.Dataset:
    return percolation.directed_percolation(depth, *arguments, progress=False, **options)


# --- exact enumeration of small systems ----------------------------------------------------------------------------------


def children(occupied: frozenset[int], layer: int, size: int | None, p: float) -> Iterator[tuple[frozenset[int], float]]:
    """Every configuration of the next layer with its probability: all states of the bonds, one after another."""
    bonds = []
    for x in occupied:
        other = x - 1 if layer % 2 else x + 1
        bonds += [x, other % size if size else other]
    for states in itertools.product((False, True), repeat=len(bonds)):
        weight = math.prod(p if state else 1 - p for state in states)
        yield frozenset(bond for bond, state in zip(bonds, states, strict=True) if state), weight


def law(depth: int, p: float, start: frozenset[int], size: int | None) -> dict[frozenset[int], float]:
    """The exact law of the configuration at a depth."""
    now = {start: 1.0}
    for layer in range(1, depth + 1):
        after: dict[frozenset[int], float] = {}
        for occupied, weight in now.items():
            for child, share in children(occupied, layer, size, p):
                after[child] = after.get(child, 0.0) + weight * share
        now = after
    return now


@pytest.mark.parametrize(("size", "start", "depth"), [(None, "seed", 4), (5, "seed", 3), (4, "full", 3)])
def test_small_systems_against_exact_enumeration(size, start, depth):
    p, samples = 0.6, 20_000
    middle = size // 2 if size else 0
    exact = law(depth, p, frozenset(range(size)) if start == "full" else frozenset([middle]), size)
    ds = run(depth, p, start=start, size=size, samples=samples, record=[depth], seed=4)
    active = ds.active.values.ravel()
    for count in range(int(active.max()) + 2):
        share = sum(weight for c, weight in exact.items() if len(c) == count)
        se = math.sqrt(share * (1 - share) / samples) + 1e-12
        assert_within_errors((active == count).mean(), se, share)
    if start == "seed":
        half = depth % 2 / 2

        def square(c: frozenset[int]) -> float:
            away = [abs(x - middle + half) for x in c]
            return sum(min(a, size - a if size else a) ** 2 for a in away)

        spread = ds.spread.values.ravel()
        assert_within_errors(spread.mean(), spread.std() / samples**0.5, sum(w * square(c) for c, w in exact.items()))


def test_pictures_have_the_exact_law_of_configurations():
    size, p, samples = 4, 0.55, 20_000
    exact = law(2, p, frozenset([2]), size)
    ds = run(2, p, start="seed", size=size, samples=samples, record=[2], sites=True, seed=5)
    assert ds.occupied.dtype == bool and ds.occupied.sizes == {"sample": samples, "depth": 1, "site": size}
    seen = [frozenset(np.flatnonzero(row).tolist()) for row in ds.occupied.values[:, 0]]
    assert set(seen) <= set(exact)
    for configuration, share in exact.items():
        assert_within_errors(seen.count(configuration) / samples, math.sqrt(share * (1 - share) / samples), share)


# --- a plain loop as the second route ------------------------------------------------------------------------------------


def plain_seed(depth: int, p: float, rng: random.Random) -> int:
    occupied = {0}
    for _ in range(depth):
        occupied = {x + step for x in occupied for step in (0, 1) if rng.random() < p}
    return len(occupied)


def plain_density(depth: int, p: float, size: int, rng: random.Random) -> float:
    occupied = [True] * size
    for layer in range(depth):
        shift = 1 if layer % 2 else -1
        occupied = [(occupied[x] and rng.random() < p) or (occupied[(x + shift) % size] and rng.random() < p) for x in range(size)]
    return sum(occupied) / size


@pytest.mark.parametrize("p", [0.5, percolation.CRITICAL_PROBABILITY, 0.8])
def test_fast_route_agrees_with_a_plain_loop(p):
    rng = random.Random(7)
    plain = np.array([plain_seed(30, p, rng) for _ in range(1500)], dtype=float)
    fast = run(30, p, start="seed", samples=4000, record=[30], seed=6).active.values.ravel()
    for a, b in ((plain, fast), (plain > 0, fast > 0)):
        assert_within_errors(b.mean(), b.std() / b.size**0.5, a.mean(), a.std() / a.size**0.5)
    plain = np.array([plain_density(30, p, 40, rng) for _ in range(100)])
    fast = run(30, p, size=40, samples=2000, record=[30], seed=7).density.values.ravel()
    assert_within_errors(fast.mean(), fast.std() / fast.size**0.5, plain.mean(), plain.std() / plain.size**0.5)


def test_certain_and_impossible_bonds():
    full = run(6, 1.0, start="seed", samples=3, record=[6])
    assert (full.active == 7).all()
    assert full.spread.values[0, 0] == sum((x - 3) ** 2 for x in range(7))
    none = run(3, 0.0, size=10, samples=2)
    assert none.density.sel(depth=0).values.tolist() == [1.0, 1.0] and (none.density.sel(depth=[1, 2, 3]) == 0).all()


def test_one_coin_for_all_sites_of_a_layer():
    """Probabilities 0 and 1: a full ring is full until the first unlucky coin, a seed grows by one site a layer."""
    ds = run(4, 0.5, size=9, samples=8000, record=[1, 4], temporal_disorder=0.5, seed=3)
    assert set(np.unique(ds.density)) == {0.0, 1.0}
    for depth in (1, 4):
        share = 2.0**-depth
        assert_within_errors(ds.density.sel(depth=depth).mean(), math.sqrt(share * (1 - share) / 8000), share)
    seeds = run(3, 0.5, start="seed", samples=500, record=[3], temporal_disorder=0.5, seed=3).active
    assert set(np.unique(seeds)) == {0.0, 4.0}
    with pytest.raises(ValueError, match="temporal_disorder must leave"):
        run(4, 0.9, size=9, temporal_disorder=0.2)


# --- the known exponents -------------------------------------------------------------------------------------------------


def test_calibration_at_the_critical_point():
    """Corrections to scaling over these windows are below 0.005; the error bars are larger."""
    ds = run(1000, size=2000, samples=32, seed=8)
    found = percolation.exponents(ds, 30)
    assert found.theta is None and found.window[0] >= 30 and found.window[1] == 1000
    assert_within_errors(found.delta, math.hypot(found.delta_se, 0.002), percolation.EXPONENTS["delta"])
    ds = run(600, start="seed", samples=4000, seed=9)
    found = percolation.exponents(ds, 20)
    for name in ("delta", "theta", "two_over_z"):
        assert_within_errors(getattr(found, name), math.hypot(getattr(found, f"{name}_se"), 0.002), percolation.EXPONENTS[name])


def test_slopes_bend_away_off_the_critical_point():
    """p = 0.6427 and 0.6467: the fitted slopes of the fact sheet, 0.223 and 0.113, and the direction of the bend."""
    for p, reference, reference_se in ((0.6427, 0.2228, 0.004), (0.6467, 0.1134, 0.0013)):
        ds = run(3000, p, size=1000, samples=24, seed=10)
        found = percolation.exponents(ds, 30)
        assert_within_errors(found.delta, found.delta_se, reference, reference_se)
        slopes = percolation.local_slopes(ds, 6)
        early, late = slopes.delta.sel(depth=[100, 1200], method="nearest").values
        assert (late > early) == (reference > percolation.EXPONENTS["delta"])


def test_hyperscaling_of_the_known_exponents():
    e = percolation.EXPONENTS
    assert e["theta"] == pytest.approx(e["nu_perpendicular"] / e["nu_parallel"] - 2 * e["delta"], abs=2e-6)
    assert e["delta"] == pytest.approx(e["beta"] / e["nu_parallel"], abs=2e-6)
    assert e["z"] == pytest.approx(e["nu_parallel"] / e["nu_perpendicular"], abs=2e-6)
    assert e["two_over_z"] == pytest.approx(2 / e["z"], abs=2e-6)


# --- estimators ----------------------------------------------------------------------------------------------------------


def made(density: np.ndarray, depth: np.ndarray) -> xr.Dataset:
    return xr.Dataset({"density": (("sample", "depth"), density)}, {"depth": depth})


def test_estimators_return_the_exponent_of_a_power_law():
    depth = np.unique(np.geomspace(1, 1000, 30).round()).astype(int)
    factor = np.array([[0.5], [1.0], [2.0]])
    ds = made(factor * depth**-0.7, depth)
    assert percolation.exponents(ds, 1).delta == pytest.approx(0.7)
    assert percolation.exponents(ds, 1).delta_se == pytest.approx(0.0, abs=1e-12)
    slopes = percolation.local_slopes(ds, 4)
    assert np.allclose(slopes.delta, 0.7, atol=1e-10) and np.allclose(slopes.inverse_depth * slopes.depth, 1)


def test_errors_are_those_of_independent_runs():
    """Runs whose logarithms are straight lines of random slope: the error of the mean slope is known."""
    rng, depth = np.random.default_rng(3), np.array([10, 20, 40, 80])
    spread, runs = 0.05, 400
    lines = np.exp(-(0.3 + spread * rng.standard_normal((runs, 1))) * np.log(depth / 10) * 0.01)
    found = percolation.exponents(made(lines, depth), 10, bootstrap=400)
    assert found.delta_se == pytest.approx(0.01 * spread / math.sqrt(runs), rel=0.15)


def test_averages_of_seeds():
    ds = xr.Dataset({"active": (("sample", "depth"), [[1.0, 3.0], [1.0, 0.0]]), "spread": (("sample", "depth"), [[0.0, 6.0], [0.0, 0.0]])}, {"depth": [0, 1]})
    found = percolation.averages(ds)
    assert found.active.values.tolist() == [1.0, 1.5] and found.survival.values.tolist() == [1.0, 0.5]
    assert found.mean_square.values.tolist() == [0.0, 2.0]


# --- seeds in networks ---------------------------------------------------------------------------------------------------


def test_input_pairs_differ_where_they_should():
    for background in percolation.seeds.BACKGROUNDS:
        for amplitude in (None, 1e-300):
            first, second = percolation.input_pair(11, 3, background, 2, amplitude=amplitude, seed=1).reshape(2, 3, 11)
            differ = (first != second).any(0).nonzero().ravel().tolist()
            assert differ == [4, 5]
            outside = [x for x in range(11) if x not in differ]
            assert (first[1:, outside].std(-1).max() == 0) == (background == "homogeneous")
            if amplitude:
                assert 0 < (second - first).abs().max() < 5e-300
    with no_implicit_device():
        percolation.input_pair(4, 2)
    assert percolation.input_pair(4, 2, dtype=torch.float32).dtype == torch.float32


def test_spreading_counts_and_measures_on_the_ring():
    field = np.zeros((1, 2, 7))
    field[0, 0, 3], field[0, 1, [0, 3, 6]] = 1.0, 1.0
    found = percolation.spreading(xr.DataArray(field, dims=("sample", "depth", "site"), coords={"depth": [1, 2]}), 0.5)
    assert found.active.values.tolist() == [[1, 3]] and found.spread.values.tolist() == [[0.0, 18.0]]
    assert found.density.values[0, 1] == pytest.approx(3 / 7)
    again = percolation.spreading(xr.DataArray(field, dims=("sample", "depth", "site")), 0.5, origin=0)
    assert again.spread.values.tolist() == [[9.0, 0 + 9 + 1]]


# --- behaviour -----------------------------------------------------------------------------------------------------------


def test_same_seed_same_runs_and_blocks_are_apart():
    a, b, c = (run(40, start="seed", samples=1500, seed=s) for s in (1, 1, 2))
    assert a.active.equals(b.active) and not a.active.equals(c.active)
    first, second = a.active.values[:476], a.active.values[1024:]
    assert (first != second).any()


def test_provenance_and_files(tmp_path):
    ds = run(20, 0.7, size=30, samples=3, record=[0, 5, 20], sites=True)
    told = json.loads(ds.attrs["provenance"])
    assert told["arguments"]["probability"] == 0.7 and "numpy" in told["versions"] and ds.attrs["interrupted"] == 0
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as back:
        assert back.density.load().equals(ds.density) and back.density.attrs["units"] == "1"


@pytest.fixture
def interruptible():
    """Python's own answer to an interrupt, which a shell switches off for programs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupt_keeps_what_was_recorded(interruptible):
    timer = threading.Timer(0.7, _thread.interrupt_main)
    timer.start()
    try:
        ds = run(10**6, size=400, samples=4, record=[0, 10, 20, 10**6])
    finally:
        timer.cancel()
    assert ds.attrs["interrupted"] == 1 and ds.depth.values.tolist() == [0, 10, 20]
    assert np.isfinite(ds.density.values).all()


@pytest.mark.parametrize(("arguments", "options", "message"), [
    ((10, 1.2), {"size": 10}, "probability must lie between"), ((10,), {}, "size must be a number of sites"), ((0,), {"size": 5}, "depth must be"),
    ((10,), {"start": "empty"}, "start must be one of"), ((10,), {"size": 2}, "size must be"), ((10,), {"size": 9, "record": [11]}, "record must hold"),
    ((10,), {"start": "seed", "sites": True}, "size must be a number"), ((10,), {"size": 9, "samples": 0}, "samples must be"),
    ((10**6,), {"size": 10**6, "samples": 9, "sites": True}, "record fewer")])
def test_bad_arguments_are_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        run(*arguments, **options)


def test_bad_data_is_named():
    ds = run(50, size=20, samples=4)
    with pytest.raises(ValueError, match="at least three recorded depths"):
        percolation.exponents(ds, 49)
    with pytest.raises(ValueError, match="factor must be above 1"):
        percolation.local_slopes(ds, 1.0)
    with pytest.raises(ValueError, match="with that ratio"):
        percolation.local_slopes(ds, 1000)
    with pytest.raises(ValueError, match="at least two"):
        percolation.averages(ds.isel(sample=[0]))
    with pytest.raises(ValueError, match="must hold 'density'"):
        percolation.averages(ds[["active"]])
    with pytest.raises(ValueError, match="NaN"):
        percolation.averages(ds.where(ds.depth < 10))
    with pytest.raises(ValueError, match="something is alive"):
        percolation.exponents(run(100, 0.3, size=20, samples=4), 10)
    with pytest.raises(ValueError, match="field must have"):
        percolation.spreading(xr.DataArray(np.zeros((2, 3)), dims=("sample", "depth")), 0.1)
    with pytest.raises(ValueError, match="amplitude needs"):
        percolation.input_pair(5, 1, amplitude=1e-9)
    with pytest.raises(ValueError, match="sites must be at most"):
        percolation.input_pair(5, 2, sites=6)

"""Verdicts on families whose limit is known, and on noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from deeplimits import cutoff
from deeplimits.layers import Dense

PAIRS = ((0.75, 0.25), (0.9, 0.1))


def exact_family(name, values, depth_at) -> xr.Dataset:
    """A family from a function (value, level) -> depth."""
    half = np.array([depth_at(v, 0.5) for v in values])
    windows = np.array([[depth_at(v, q) - depth_at(v, p) for p, q in PAIRS] for v in values])
    data = {"depth": ((name,), half), "relative_width": ((name, "pair"), windows / half[:, None])}
    return xr.Dataset(data, {name: values, "pair": [f"{p:g}-{q:g}" for p, q in PAIRS]}, {"family": name})


def angle_orbit(theta: float, depth: int) -> np.ndarray:
    """Angles of two inputs of an infinitely wide ReLU network at the edge of chaos."""
    angles = [theta]
    for _ in range(depth):
        t = angles[-1]
        bend = t**3 / 3 - t**5 / 30 + t**7 / 840 if t < 1e-2 else math.sin(t) - t * math.cos(t)
        angles.append(2 * math.asin(math.sqrt((2 * math.sin(t / 2) ** 2 - bend / math.pi) / 2)))
    return np.array(angles)


@pytest.mark.statement("thm-contracting-cutoff")
def test_contracting_layers_have_a_cutoff():
    layer = Dense(16, "identity", 0.9)
    family = exact_family("threshold", [10.0**-k for k in (1, 2, 5, 10, 50, 300)], lambda e, p: cutoff.predict(layer, e).quantile(p))
    verdict = cutoff.verdict(family)
    assert verdict == "cut-off" and verdict.family == "threshold" and "threshold" in verdict.evidence
    assert all(trend.decay == pytest.approx(0.5, abs=0.03) for trend in verdict.trends)
    assert all(abs(trend.limit) < 0.02 for trend in verdict.trends)


@pytest.mark.statement("thm-gaussian-chain-cutoff")
def test_total_variation_has_a_cutoff_along_the_width():
    widths = [4**k for k in range(2, 13)]
    verdict = cutoff.verdict(exact_family("width", widths, lambda n, p: cutoff.linear_gaussian_chain(n, 0.9).depth_at(p)))
    assert verdict == "cut-off"
    assert verdict.trends[0].decay == pytest.approx(1.0, abs=0.1)


@pytest.mark.statement("prop-annealed-no-cutoff")
def test_annealed_law_has_none():
    def depth_at(width, level):
        return cutoff.linear_gaussian_chain(width, 0.9).depth_at(level, "annealed_total_variation")

    verdict = cutoff.verdict(exact_family("width", [16, 64, 256, 1024], depth_at))
    assert verdict == "no cut-off" and "does not diverge" in verdict.evidence
    assert verdict.members == 4 and "Judged from 4 of 4 members" in verdict.evidence  # all are far below depth 10


def test_one_unnamed_column_is_called_r():
    depth = np.array([20.0, 40.0, 80.0, 160.0])
    verdict = cutoff.verdict({"name": "width", "depth": depth, "relative_width": depth**-0.5})
    assert "R goes from" in verdict.evidence and "pair" not in verdict.evidence
    verdict = cutoff.verdict({"name": "width", "depth": depth, "relative_width": [1.5] * 4})
    assert "the relative width does not fall" in verdict.evidence and "pair" not in verdict.evidence


@pytest.mark.statement("prop-relu-death")
def test_death_has_none():
    verdict = cutoff.verdict(exact_family("width", [4, 5, 6, 8, 10], cutoff.relu_death_depth))
    assert verdict == "no cut-off"
    assert verdict.trends[0].limit == pytest.approx(cutoff.EXPONENTIAL_RELATIVE_WIDTH, rel=1e-6)


@pytest.mark.statement("prop-critical-no-cutoff")
def test_critical_angles_have_none():
    table, profiles = {1.0: 2.873, 0.1: 2.679, 0.01: 2.668, 0.001: 2.667}, {}
    for theta in (1.0, 0.3, 0.1, 0.01, 0.001):
        depth = int(3.3 * 3 * math.pi / theta) + 10
        orbit = angle_orbit(theta, depth) / theta
        profiles[theta] = xr.DataArray(orbit, dims="depth", coords={"depth": np.arange(depth + 1)})
    for theta, relative_width in table.items():
        assert cutoff.locate(profiles[theta]).relative_width == pytest.approx(relative_width, abs=6e-4)
    where = cutoff.locate(profiles[0.01])
    assert list(where.quantiles.values()) == pytest.approx([313.7, 941.4, 2825.4], abs=0.06)
    verdict = cutoff.verdict(cutoff.family(profiles, along="theta", pairs=((0.75, 0.25),)))
    assert verdict == "no cut-off" and verdict.members >= 4
    assert verdict.trends[0].limit == pytest.approx(8 / 3, abs=2e-3)


def test_noise_is_undecided():
    rng, depth = np.random.default_rng(0), np.array([12.0, 25.0, 50.0, 100.0])
    for truth in (depth**-0.5, np.full(4, 1.585) / 5):
        noisy = truth + 0.05 * rng.standard_normal(4)
        columns = {"depth": depth, "depth_se": 0.02 * depth, "relative_width": noisy, "relative_width_se": np.full(4, 0.08)}
        assert cutoff.verdict(columns, name="width") == "undecided"


def test_three_members_are_undecided():
    # Collapse of the angle at widths 32, 64, 128: thresholds 1/width (a limit law), then width^(-1/2) (a cut-off).
    for ratio, depth in (((0.867, 0.843, 0.861), (58.9, 125.4, 263.7)), ((0.963, 0.822, 0.719), (22.4, 39.4, 63.5))):
        columns = {"depth": depth, "relative_width": ratio, "relative_width_se": (0.025,) * 3}
        assert cutoff.verdict(columns, name="width") == "undecided"  # three members are too few


def test_wrong_verdicts_are_rare_on_noisy_data():
    rng = np.random.default_rng(1)
    depth = np.geomspace(12, 400, 6)
    answers = {"falls": [], "stays": []}
    for _ in range(200):
        for key, truth in (("falls", depth**-0.5), ("stays", np.full(6, 0.8))):
            se = 0.03 * truth
            columns = {"depth": depth, "relative_width": truth + se * rng.standard_normal(6), "relative_width_se": se}
            answers[key].append(cutoff.verdict(columns, name="width").answer)
    assert answers["falls"].count("no cut-off") == 0 and answers["falls"].count("cut-off") > 150
    assert answers["stays"].count("cut-off") == 0 and answers["stays"].count("no cut-off") > 150


def test_slow_decay_and_plateaus_are_not_called_a_cutoff():
    depth = np.geomspace(12, 4000, 8)
    slow = {"depth": depth, "relative_width": 1 / np.sqrt(np.log(depth))}
    assert cutoff.verdict(slow, name="width") == "undecided"
    levelling = {"depth": depth, "relative_width": 0.4 + 3 / depth}
    assert cutoff.verdict(levelling, name="width") != "cut-off"
    half = {"depth": depth, "relative_width": np.stack([depth**-0.5, np.full(8, 0.7)], 1), "pair": ["0.75-0.25", "0.95-0.05"]}
    assert cutoff.verdict(half, name="width") == "no cut-off"  # every pair must fall
    short = {"depth": [20.0, 22.0, 25.0, 30.0], "relative_width": [0.9, 0.7, 0.6, 0.4]}
    assert cutoff.verdict(short, name="width") == "undecided"
    backwards = {"depth": depth[::-1], "relative_width": depth**0.5}
    assert cutoff.verdict(backwards, name="width") == "undecided"


def test_verdicts_compare_with_their_answer():
    verdict = cutoff.verdict({"depth": [20.0, 40.0, 80.0, 160.0], "relative_width": [1.5] * 4, "name": "width"})
    assert verdict == "no cut-off" and verdict != "cut-off" and verdict == verdict
    assert str(verdict).startswith("no cut-off (along width):")


def walk_profiles(thresholds=(1e-5, 1e-10, 1e-20, 1e-40)):
    steps = np.random.default_rng(3).normal(-1.0, 1.0, (500, 160))
    path = np.concatenate([np.zeros((500, 1)), steps.cumsum(1)], 1)
    ds = xr.Dataset({"log_distance": (("sample", "depth"), path)}, {"depth": np.arange(161)})
    return cutoff.survival(ds, "log_distance", list(thresholds))


@pytest.mark.statement("def-cutoff")
def test_family_and_locate_agree():
    profiles = walk_profiles()
    family = cutoff.family(profiles, bootstrap=50)
    assert family.attrs["family"] == "threshold" and dict(family.sizes) == {"threshold": 4, "pair": 2}
    where = cutoff.locate(profiles.isel(threshold=2), bootstrap=50)
    row = family.isel(threshold=2, pair=0)
    assert (float(row.depth), float(row.window), float(row.relative_width)) == (where.depth, where.window, where.relative_width)
    assert float(row.relative_width_se) == pytest.approx(where.relative_width_se)
    parts = {float(t): profiles.sel(threshold=t) for t in profiles.threshold}
    assert cutoff.family(parts, along="threshold", bootstrap=50).equals(family)


def test_collapse_measures_agreement():
    profiles = walk_profiles((1e-10, 1e-20, 1e-40))
    found = cutoff.collapse(profiles, reference=lambda c: 0.5 * np.array([math.erfc(1.349 * x / 2**0.5) for x in c]))
    assert dict(found.curves.sizes) == {"threshold": 3, "c": 81}
    assert found.spread < 0.12 and max(found.reference_distance) < 0.12
    l = np.arange(4000)
    different = {1: xr.DataArray(np.exp(-l / 300), dims="depth", coords={"depth": l}), 2: profiles.survival.isel(threshold=2, drop=True)}
    assert cutoff.collapse(different, along="kind").spread > 0.15


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: cutoff.verdict({"depth": [1.0], "relative_width": [1.0]}), "named"),
        (lambda: cutoff.verdict({"depth": [1.0]}, name="width"), "relative_width"),
        (lambda: cutoff.verdict({"depth": [1.0, 2.0], "relative_width": [1.0]}, name="width"), "per member"),
        (lambda: cutoff.verdict({"depth": [1.0], "relative_width": [math.nan]}, name="width"), "finite and positive"),
        (lambda: cutoff.family({}, along="width"), "at least one"),
        (lambda: cutoff.family({1: None}), "along"),
        (lambda: cutoff.family(walk_profiles(), along="width"), "along"),
        (lambda: cutoff.family(walk_profiles(), pairs=((0.25, 0.75),)), "levels"),
        (lambda: cutoff.family(walk_profiles((1e-5, 1e-200))), r"threshold=1e-200: .*run deeper"),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()


def test_a_list_is_not_a_family():
    with pytest.raises(TypeError, match="family"):
        cutoff.verdict([1, 2], name="width")
    with pytest.raises(TypeError, match="profiles"):
        cutoff.family([1, 2], along="width")

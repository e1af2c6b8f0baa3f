"""Exactly solved chains: total variation, entropy and transport against the tables and other routes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import multivariate_normal, ncx2, norm

from deeplimits import cutoff
from deeplimits.cutoff.chains import DISTANCES
from tests.support import assert_within_errors

# width, cut-off depth, crossings of .75, .5, .25, total variation at the rounded depth; rho = .9
TABLE = [
    (4, 6.579, (2.318, 5.365, 11.281), 0.409054),
    (16, 13.158, (6.539, 10.812, 17.550), 0.400525),
    (64, 19.736, (12.199, 17.027, 24.043), 0.375807),
    (256, 26.315, (18.504, 23.508, 30.599), 0.395519),
    (1024, 32.894, (25.00, 30.05, 37.17), 0.379179),
    (4096, 39.473, (31.56, 36.62, 43.75), 0.400843),
    (16384, 46.052, (38.14, 43.20, 50.33), 0.384857),
]


@pytest.mark.statement("thm-gaussian-chain-cutoff")
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"N{row[0]}")
def test_total_variation_table(row):
    width, depth, crossings, value = row
    chain = cutoff.linear_gaussian_chain(width, 0.9)
    assert chain.cutoff_depth == pytest.approx(depth, abs=6e-4)
    assert chain.total_variation(round(depth)) == pytest.approx(value, abs=6e-7)
    # From width 1024 on the reference crossings come from 4e5 random samples.
    tolerance = 6e-4 if width < 1024 else 0.025
    assert [chain.depth_at(p) for p in (0.75, 0.5, 0.25)] == pytest.approx(crossings, abs=tolerance)


@pytest.mark.statement("thm-gaussian-chain-cutoff")
def test_total_variation_by_noncentral_chi_squared():
    for width in (1, 2, 3, 7, 64, 1000):
        for depth in (0.05, 0.5, 2.0, 9.0, 25.0):
            s = 0.9 ** (2 * depth)
            v = 1 - s
            radius = width * (1 - math.log1p(-s)) * v / s
            exact = ncx2.cdf(radius / v, width, width * v / s) - ncx2.cdf(radius, width, width / s)
            assert cutoff.linear_gaussian_chain(width, 0.9).total_variation(depth) == pytest.approx(exact, abs=1e-11)


@pytest.mark.statement("thm-gaussian-chain-cutoff")
def test_total_variation_by_simulation_and_in_one_dimension():
    width, depth, rng = 50, 15, np.random.default_rng(0)
    s = 0.9 ** (2 * depth)
    z, r = rng.standard_normal(100_000), rng.chisquare(width - 1, 100_000)
    mean = math.sqrt(width * s)
    log_ratio = -width / 2 * math.log1p(-s) - ((z - mean) ** 2 + r) / (2 * (1 - s)) + (z**2 + r) / 2
    gap = np.maximum(-np.expm1(log_ratio), 0)
    found = cutoff.linear_gaussian_chain(width, 0.9).total_variation(depth)
    assert_within_errors(gap.mean(), gap.std() / 100_000**0.5, found)
    grid = np.linspace(-12, 12, 240_001)
    plain = np.abs(norm.pdf(grid, 0.5, math.sqrt(0.75)) - norm.pdf(grid)).sum() * 1e-4 / 2
    assert cutoff.linear_gaussian_chain(1, 0.5).total_variation(1) == pytest.approx(plain, abs=1e-8)


@pytest.mark.statement("thm-gaussian-chain-cutoff", "prop-profile-limits")
def test_limit_profiles():
    chain = cutoff.linear_gaussian_chain(10**8, 0.9)
    for c in (-1.0, 0.0, 1.5):
        depth = chain.cutoff_depth + c * chain.window_scale
        assert chain.total_variation(depth) == pytest.approx(2 * ndtr(math.exp(-c) / 2) - 1, abs=1e-6)
        assert chain.kl(depth) == pytest.approx(math.exp(-2 * c) / 2, rel=1e-6)
        assert chain.reverse_kl(depth) == pytest.approx(math.exp(-2 * c) / 2, rel=1e-6)
        assert chain.wasserstein(depth) == pytest.approx(math.exp(-c), rel=1e-6)
        for name in DISTANCES:
            assert getattr(chain, name)(depth) == pytest.approx(cutoff.limit_profile(name, c), rel=1e-5)
    assert cutoff.limit_profile("total_variation", 0.0) == pytest.approx(0.382925, abs=6e-7)
    window = chain.depth_at(0.25) - chain.depth_at(0.75)
    assert window == pytest.approx(12.1844, abs=1e-4)


def test_entropy_and_transport_values():
    chain = cutoff.linear_gaussian_chain(256, 0.9)
    assert chain.kl(26) == pytest.approx(0.535462, abs=6e-7)
    assert chain.reverse_kl(26) == pytest.approx(0.537705, abs=6e-7)
    assert chain.wasserstein(26) == pytest.approx(1.034314, abs=6e-7)
    # Kullback-Leibler as the mean log ratio, by quadrature in one dimension.
    s = 0.81
    law, rest = multivariate_normal(0.9, 1 - s), multivariate_normal(0, 1)
    mean = quad(lambda x: law.pdf(x) * (law.logpdf(x) - rest.logpdf(x)), -10, 10, points=[0.9], limit=200)[0]
    assert cutoff.linear_gaussian_chain(1, 0.9).kl(1) == pytest.approx(mean, rel=1e-8)


def test_depth_zero_and_great_depth():
    chain = cutoff.linear_gaussian_chain(7, 0.5)
    assert chain.total_variation(0) == chain.annealed_total_variation(0) == 1.0
    assert chain.kl(0) == chain.reverse_kl(0) == math.inf
    assert chain.wasserstein(0) == pytest.approx(math.sqrt(14))
    assert chain.total_variation(np.array([[0.0, 2000.0]])).tolist() == [[1.0, 0.0]]
    assert chain.kl(2000.0) == 0.0
    values = chain.total_variation(np.linspace(0, 20, 101))
    assert (np.diff(values) < 0).all()


@pytest.mark.parametrize("name", DISTANCES)
def test_depth_at_inverts(name):
    chain = cutoff.linear_gaussian_chain(33, 0.8)
    assert getattr(chain, name)(chain.depth_at(0.3, name)) == pytest.approx(0.3, rel=1e-9)


@pytest.mark.statement("prop-annealed-no-cutoff")
def test_annealed_table():
    depths = np.array([1, 2, 3, 5, 8])
    assert cutoff.annealed_limit(0.9, depths) == pytest.approx([0.2523, 0.1353, 0.0801, 0.0314, 0.0085], abs=6e-5)
    table = {256: (0.2525, 0.1354, 0.0801, 0.0313, 0.0084), 4: (0.2590, 0.1370, 0.0792, 0.0292, 0.0073)}
    for width, row in table.items():
        assert cutoff.linear_gaussian_chain(width, 0.9).annealed_total_variation(depths) == pytest.approx(row, abs=6e-5)
    chain = cutoff.linear_gaussian_chain(4, 0.9)  # forgetting the direction loses information
    assert (chain.annealed_total_variation(depths) < chain.total_variation(depths)).all()
    assert (cutoff.annealed_limit(0.9, 0), cutoff.annealed_limit(0.9, 1e6)) == (1.0, 0.0)


@pytest.mark.statement("prop-relu-death")
def test_death_of_relu_networks():
    for width, value in ((2, 0.05631), (3, 0.26308), (4, 0.52446)):
        assert cutoff.relu_alive(width, 10) == pytest.approx(value, abs=6e-6)
        assert cutoff.relu_alive(width, np.arange(20_000)).sum() == pytest.approx(2**width, rel=1e-9)
    for width in (2, 10, 60):
        quartiles = [cutoff.relu_death_depth(width, p) for p in (0.75, 0.5, 0.25)]
        assert (quartiles[2] - quartiles[0]) / quartiles[1] == pytest.approx(math.log(3) / math.log(2), rel=1e-12)
        assert cutoff.relu_alive(width, quartiles[0]) == pytest.approx(0.75, rel=1e-10)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: cutoff.linear_gaussian_chain(0, 0.9), "width"),
        (lambda: cutoff.linear_gaussian_chain(4, 1.0), "rho"),
        (lambda: cutoff.linear_gaussian_chain(4, 0.9).kl(-1), "depth"),
        (lambda: cutoff.linear_gaussian_chain(4, 0.9).depth_at(1.0), "level"),
        (lambda: cutoff.linear_gaussian_chain(4, 0.9).depth_at(0.5, "hellinger"), "distance"),
        (lambda: cutoff.relu_alive(0, 3), "width"),
        (lambda: cutoff.relu_death_depth(3, 1.0), "level"),
        (lambda: cutoff.limit_profile("hellinger", 0.0), "distance"),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()

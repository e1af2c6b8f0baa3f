"""Statements of *What a cut-off is* (Part III)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

import deeplimits as dl
from tests.support import assert_within_errors

RHO, WIDTH, SAMPLES = 0.9, 64, 1500


def log_ratio(x: torch.Tensor) -> torch.Tensor:
    """Logarithm of dP/dpi at input 0; input 1 started at zero and met the same layers and the same noise."""
    mean = x[:, 0] - x[:, 1]
    s = (mean**2).sum(-1) / x.shape[-1]
    return ((x[:, 0] ** 2).sum(-1) - (x[:, 1] ** 2).sum(-1) / (1 - s) - x.shape[-1] * torch.log1p(-s)) / 2


@pytest.fixture(scope="module")
def noisy_run():
    """Noisy linear networks with orthogonal weights, from a point of norm sqrt(N) and from zero."""
    layer = dl.Dense(WIDTH, "identity", RHO, bias_std=math.sqrt(1 - RHO**2), weights="orthogonal")
    start = torch.stack([torch.ones(WIDTH), torch.zeros(WIDTH)]).double()
    watch = {"log_ratio": log_ratio, "square": lambda x: (x[:, 0] ** 2).sum(-1), "mean": lambda x: ((x[:, 0] - x[:, 1]) ** 2).sum(-1)}
    return dl.simulate(layer, start, 24, watch, record=range(1, 25), samples=SAMPLES, seed=8, progress=False)


@pytest.mark.statement("thm-gaussian-chain-cutoff")
def test_law_of_the_network_is_the_stated_gaussian(noisy_run):
    s = RHO ** (2 * noisy_run.depth.values)
    np.testing.assert_allclose(noisy_run["mean"].values, np.broadcast_to(WIDTH * s, (SAMPLES, s.size)), rtol=1e-9)
    exact = dl.cutoff.linear_gaussian_chain(WIDTH, RHO)
    for depth in (12, 17, 20, 24):
        gain = np.maximum(-np.expm1(-noisy_run.log_ratio.sel(depth=depth).values), 0)
        assert_within_errors(gain.mean(), gain.std() / math.sqrt(SAMPLES), exact.total_variation(depth))


@pytest.mark.statement("thm-gaussian-chain-cutoff")
@pytest.mark.parametrize("rho", [0.5, 0.9, 0.99])
def test_bound_and_cut_off(rho):
    for width in (2, 16, 256, 4**8, 4**14):
        chain = dl.cutoff.linear_gaussian_chain(width, rho)
        depth = chain.cutoff_depth * np.linspace(0.05, 2.5, 60)
        s = rho ** (2 * depth)
        value = chain.total_variation(depth)
        gap = np.abs(value - (2 * special.ndtr(np.sqrt(s * width) / 2) - 1))
        assert (gap <= np.sqrt(width * np.maximum(-np.log1p(-s) - s, s**2 / 2)) / 2 + 1e-9).all()
        assert (np.diff(value) <= 1e-9).all()
        # With C windows to either side the profile is near one and near zero, for all widths alike.
        if width >= 256:
            left, right = (math.floor(chain.cutoff_depth + c * chain.window_scale) for c in (-2.5, 6.0))
            assert chain.total_variation(left) > 0.99 and chain.total_variation(right) < 0.01


@pytest.mark.statement("prop-profile-limits")
@pytest.mark.parametrize("distance", ["total_variation", "kl", "reverse_kl", "wasserstein"])
def test_limit_profiles_are_approached_along_the_width(distance):
    c = np.array([-1.5, -0.5, 0.0, 1.0, 2.0])
    gaps = []
    for width in (4**5, 4**8, 4**11):
        chain = dl.cutoff.linear_gaussian_chain(width, 0.8)
        found = getattr(chain, distance)(chain.cutoff_depth + c * chain.window_scale)
        gaps.append(np.abs(found / dl.cutoff.limit_profile(distance, c) - 1).max())
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 1e-5


@pytest.mark.statement("prop-annealed-no-cutoff")
def test_averaged_law_of_the_network_does_not_know_the_width(noisy_run):
    for depth in (1, 2, 3, 5):
        s, square = RHO ** (2 * depth), noisy_run.square.sel(depth=depth).values
        law = stats.ncx2.logpdf(square / (1 - s), WIDTH, WIDTH * s / (1 - s)) - math.log(1 - s)
        gain = np.maximum(-np.expm1(stats.chi2.logpdf(square, WIDTH) - law), 0)
        exact = dl.cutoff.linear_gaussian_chain(WIDTH, RHO).annealed_total_variation(depth)
        assert_within_errors(gain.mean(), gain.std() / math.sqrt(SAMPLES), exact)
        assert exact == pytest.approx(dl.cutoff.annealed_limit(RHO, depth), abs=2 / WIDTH)
        # The square of the length is that of the stated law: a Kolmogorov-Smirnov test.
        assert stats.kstest(square / (1 - s), stats.ncx2(WIDTH, WIDTH * s / (1 - s)).cdf).pvalue > 1e-4

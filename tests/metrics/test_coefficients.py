"""Contraction coefficients: exact values, sharpness, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deeplimits import metrics as m


def matrix(rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_birkhoff_reference():
    w = matrix([[1.0, 2.0], [3.0, 4.0]])
    assert m.projective_diameter(w) == pytest.approx(math.log(1.5), rel=1e-13)
    assert m.projective_diameter(w) == pytest.approx(0.4054651081, abs=6e-11)
    root = math.sqrt(6)
    assert m.birkhoff(w) == pytest.approx((root - 2) / (root + 2), rel=1e-12)
    assert m.birkhoff(w) == pytest.approx(0.1010205144, abs=6e-11)


def test_birkhoff_is_attained_where_the_sheet_says():
    """The local factor in t = log(x1/x2) peaks at half of log 8/3, and the search comes there."""
    w = matrix([[1.0, 2.0], [3.0, 4.0]])
    t = np.linspace(-3, 3, 600001)
    local = np.abs(np.gradient(np.log((np.exp(t) + 2) / (3 * np.exp(t) + 4)), t))
    assert t[local.argmax()] == pytest.approx(0.5 * math.log(8 / 3), abs=1e-4)
    assert local.max() == pytest.approx(m.birkhoff(w), rel=1e-8)
    seen = m.check_semi_invariance(lambda x: x @ w.T, m.hilbert, samples=1000, dim=2)
    assert m.birkhoff(w) * (1 - 1e-4) <= seen.ratio <= m.birkhoff(w) * (1 + 1e-9)
    assert abs(float((seen.x / seen.y).log().sum())) < 30
    middle = (seen.x.log() + seen.y.log()) / 2
    assert float(middle[0] - middle[1]) == pytest.approx(0.5 * math.log(8 / 3), abs=0.1)


def test_birkhoff_is_the_diameter_by_brute_force():
    w = torch.rand(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1
    ratios = w[:, None, :, None] * w[None, :, None, :] / (w[None, :, :, None] * w[:, None, None, :])
    assert m.projective_diameter(w) == pytest.approx(float(ratios.max().log()), rel=1e-12)
    assert m.projective_diameter(w.T) == pytest.approx(m.projective_diameter(w), rel=1e-12)


def test_birkhoff_with_zeros():
    assert m.birkhoff(matrix([[1.0, 2.0], [2.0, 4.0]])) == 0.0
    assert m.birkhoff(matrix([[1.0, 0.0], [1.0, 1.0]])) == 1.0
    assert m.birkhoff(matrix([[1.0, 0.0, 2.0], [3.0, 0.0, 4.0]])) == pytest.approx(m.birkhoff(matrix([[1.0, 2.0], [3.0, 4.0]])))
    assert m.birkhoff(matrix([[0.0, 2.0]])) == 0.0
    with pytest.raises(ValueError, match="weight must have no zero row"):
        m.birkhoff(matrix([[0.0, 0.0], [1.0, 1.0]]))
    with pytest.raises(ValueError, match=r"weight must have no negative entry.*-1"):
        m.birkhoff(matrix([[1.0, -1.0]]))
    with pytest.raises(ValueError, match="weight must be one matrix"):
        m.birkhoff(torch.ones(3))


def test_dobrushin_is_sharp_in_total_variation_and_in_the_span():
    p = torch.rand(6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p = p / p.sum(1, keepdim=True)
    eye = torch.eye(6, dtype=torch.float64)
    vertices = m.total_variation((eye @ p)[:, None], (eye @ p)[None])  # distances of the images of point masses
    assert m.dobrushin(p) == pytest.approx(float(vertices.max()), rel=1e-12)
    law = m.check_semi_invariance(lambda x: x @ p, m.total_variation, samples=600, dim=6)
    assert 0.999 * m.dobrushin(p) <= law.ratio <= m.dobrushin(p) + 1e-9
    frozen_attention = m.check_semi_invariance(lambda x: x @ p.T, m.span, samples=600, dim=6)
    assert 0.9 * m.dobrushin(p) <= frozen_attention.ratio <= m.dobrushin(p) + 1e-9


def test_dobrushin_input():
    assert m.dobrushin(matrix([[0.5, 0.5], [0.5, 0.5]])) == 0 and m.dobrushin(torch.eye(3)) == 1
    with pytest.raises(ValueError, match="kernel must have rows that sum to 1"):
        m.dobrushin(torch.ones(2, 2))
    with pytest.raises(TypeError, match="kernel must be a torch tensor"):
        m.dobrushin([[1.0]])

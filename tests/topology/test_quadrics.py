"""Quadrics: homotopy types, Betti numbers, components, and counts without a formula."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from deeplimits import topology

BETTI = [  # D, e, positive, negative -> Betti numbers
    ((2, 1, 1, 1), [2, 2]),
    ((2, 1, 3, 2), [4, 12, 12, 4]),
    ((3, 2, 2, 2), [1, 2, 3, 4, 3, 2, 1]),
    ((4, 3, 2, 1), [1, 0, 1, 2, 0, 2, 1, 0, 1]),
    ((2, 2, 2, 2), [1, 4, 6, 4, 1]),
    ((1, 1, 2, 3), [32]),
]


@pytest.mark.statement("prop-betti-numbers")
@pytest.mark.parametrize(("case", "betti"), BETTI)
def test_betti_numbers_of_the_table(case, betti):
    D, e, plus, minus = case
    balances = [0.5] * plus + [-0.25] * minus
    assert topology.betti_numbers(balances, D, e) == betti
    assert sum(betti) == 2 ** (plus + minus)
    assert topology.betti_numbers(torch.tensor(balances, device="cpu"), D, e) == betti
    assert topology.betti_numbers([*balances, 0.0], D, e) == betti  # a cone is contractible
    if D > 1:
        assert topology.betti_numbers(balances, D - 1, e, bias=True) == betti


@pytest.mark.statement("prop-betti-numbers")
def test_betti_numbers_of_a_triangulated_product():
    """Second route: simplicial homology of small spheres, multiplied as chain complexes (ranks of boundary matrices)."""
    sphere = {0: [np.zeros((0, 2)), np.zeros((2, 0))], 1: [np.zeros((0, 3)), np.array([[1.0, 0, -1], [-1, 1, 0], [0, -1, 1]]), np.zeros((3, 0))]}
    for D, e in ((2, 1), (1, 1), (2, 2)):
        for signs in product((1, -1), repeat=3):
            complexes = [sphere[(D if s > 0 else e) - 1] for s in signs]
            assert topology.betti_numbers(list(signs), D, e) == homology(tensor(tensor(complexes[0], complexes[1]), complexes[2]))


def tensor(x: list[np.ndarray], y: list[np.ndarray]) -> list[np.ndarray]:
    """Boundary matrices of the tensor product; x[k] maps chains of dimension k to k - 1, the last is a map from 0."""
    nx, ny = [m.shape[1] for m in x[:-1]], [m.shape[1] for m in y[:-1]]
    blocks = lambda n: [(i, n - i) for i in range(len(nx)) if 0 <= n - i < len(ny)]
    size = lambda n: [nx[i] * ny[j] for i, j in blocks(n)]
    maps = []
    for n in range(len(nx) + len(ny)):
        rows, columns = blocks(n - 1), blocks(n)
        matrix = np.zeros((sum(size(n - 1)), sum(size(n))))
        row, col = np.cumsum([0, *size(n - 1)]), np.cumsum([0, *size(n)])
        for c, (i, j) in enumerate(columns):
            for part, (p, q) in ((lambda i, j: np.kron(x[i], np.eye(ny[j])), (i - 1, j)), (lambda i, j: (-1) ** i * np.kron(np.eye(nx[i]), y[j]), (i, j - 1))):
                if (p, q) in rows:
                    r = rows.index((p, q))
                    matrix[row[r] : row[r + 1], col[c] : col[c + 1]] += part(i, j)
        maps.append(matrix)
    return maps


def homology(maps: list[np.ndarray]) -> list[int]:
    rank = [int(np.linalg.matrix_rank(m)) if m.size else 0 for m in maps]
    betti = [m.shape[1] - rank[k] - rank[k + 1] for k, m in enumerate(maps[:-1])]
    while betti[-1] == 0:
        betti.pop()
    return betti


@pytest.mark.statement("prop-quadric-topology")
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("c", [1.0, -1.0, 0.0, -0.04])
def test_components_by_a_neighbour_graph(shape, c):
    D, e = shape
    assert topology.counted_components(c, D, e) == topology.quadric(c, D, e).components


@pytest.mark.statement("prop-quadric-topology")
@pytest.mark.parametrize("c", [0.7, -0.7, 0.0])
def test_points_lie_on_the_quadric_and_shrink_to_the_sphere(c):
    x = topology.quadric_points(c, 3, 2, 500, seed=1)
    w, a = x[:, :3], x[:, 3:]
    assert np.allclose((w**2).sum(1) - (a**2).sum(1), c, atol=1e-12)
    if c == 0:
        return
    # the retraction: shrink the short part, keep the other on its sphere; every point on the way lies on the quadric
    long, short = (w, a) if c > 0 else (a, w)
    for t in (0.5, 0.0):
        s = t * short
        radius = np.sqrt(abs(c) + (s**2).sum(1, keepdims=True))
        moved = radius * long / np.linalg.norm(long, axis=1, keepdims=True)
        assert np.allclose((moved**2).sum(1) - (s**2).sum(1), abs(c), atol=1e-12)


@pytest.mark.statement("prop-components")
def test_number_of_components():
    assert topology.components([-1] * 5, 2, 1) == 32
    assert topology.components([-1, -1, 0, 1, 1, 1], 2, 1) == 4
    assert topology.components([-1] * 5, 2, 3) == 1  # several outputs
    assert topology.components([1, 1, -1], 1, 2) == 4  # one input, no bias: the sign of w
    assert topology.components([1, 1, -1], 1, 2, bias=True) == 1
    assert topology.components([1] * 2 + [-1] * 3, 1, 1) == 32
    for balances in product((1.0, -1.0, 0.0), repeat=3):
        for D, e in product((1, 2, 3), repeat=2):
            assert topology.components(balances, D, e) == topology.betti_numbers(balances, D, e)[0]
            assert topology.components(balances, D, e) == np.prod([topology.quadric(c, D, e).components for c in balances])


@pytest.mark.statement("prop-components")
def test_dimension_by_the_rank_of_the_laws():
    for m, D, e in ((5, 2, 1), (3, 4, 2)):
        assert topology.dimension(m, D, e) == m * (D + e) - topology.law_rank(m, D, e)
    assert topology.dimension(5, 2, 1) == 10


@pytest.mark.statement("prop-effective-components")
def test_components_up_to_permutation_of_frozen_neurons():
    assert topology.components([-1] * 4, 2, 1, up_to_permutation=True) == 5
    assert topology.components([-1, -1, -1, 1, 1], 2, 1, up_to_permutation=True) == 4
    for minus, plus, (D, e) in product((0, 1, 2), (0, 1, 2), ((1, 1), (2, 1), (1, 2), (2, 2))):
        if minus + plus == 0:
            continue
        balances = [-1.0] * minus + [1.0] * plus
        signs = product(*[(-1, 1) if topology.quadric(c, D, e).components == 2 else (0,) for c in balances])
        classes = {(tuple(sorted(s[:minus])), tuple(sorted(s[minus:]))) for s in signs}
        assert topology.components(balances, D, e, up_to_permutation=True) == len(classes)


@pytest.mark.statement("prop-effective-components")
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_components_of_the_quotient_by_swapping_random_networks(shape):
    for minus, plus in product(range(4), repeat=2):
        if 0 < minus + plus <= 4:
            balances = [-1.0] * minus + [0.5] * plus
            assert topology.quotient_components(balances, *shape) == topology.counted_classes(balances, *shape, samples=150)


def test_errors_name_the_argument():
    for message, call in {
        "balances must name at least one hidden neuron": lambda: topology.betti_numbers([], 2, 1),
        "balances must be finite": lambda: topology.betti_numbers([float("nan")], 2, 1),
        "balances must have one dimension": lambda: topology.components([[1.0]], 2, 1),
        "balances must be a sequence": lambda: topology.components(1.0, 2, 1),
        "dim_in must be a whole number": lambda: topology.components([1.0], 0, 1),
        "dim_out must be a whole number": lambda: topology.components([1.0], 1, 1.5),
        "bias must be True or False": lambda: topology.betti_numbers([1.0], 1, 1, bias=1),
        "samples must be": lambda: topology.quadric_points(1.0, 1, 1, 0),
        "at most 6 numbers": lambda: topology.counted_classes([1.0] * 7, 2, 1),
    }.items():
        with pytest.raises((ValueError, TypeError), match=message):
            call()


@pytest.mark.parametrize("c", [-0.5, 0.0, 0.5])
def test_the_grid_to_draw_lies_on_the_quadric(c):
    w1, w2, a = topology.quadric_surface(c, height=1.4, rows=9, columns=12)
    gap = np.isnan(a).all(1)
    assert gap.tolist() == [False] * 4 + [c < 0] + [False] * 4
    assert np.allclose((w1**2 + w2**2 - a**2)[~gap], c, atol=1e-12) and np.nanmax(a) == pytest.approx(1.4)
    assert (a[:4] < 0).all() and (a[5:] > 0).all()
    for wrong in (dict(rows=8), dict(height=0.5)):
        with pytest.raises(ValueError, match=r"rows must be odd|height must be above"):
            topology.quadric_surface(-0.5, **wrong)

r"""The invariant set: a product of quadrics, its Betti numbers and its components (Part V, *The shape of what is reachable*)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplimits import _checks

from ._shapes import one_dimension, sizes


@dataclass(frozen=True)
class Quadric:
    r"""The quadric :math:`\|w\|^2 - \|a\|^2 = c` of one neuron.

    Attributes:
        balance: the balance c.
        dim_in: D, incoming weights with the bias.
        dim_out: e, outgoing weights.
        homotopy: its homotopy type, ``"point"``, ``"two points"`` or ``"sphere of dimension k"``.
        betti: Betti numbers, from dimension 0 up.
        components: number of connected components.
        dimension: dimension of the quadric, :math:`D + e - 1`.
        singular: whether it is the cone of balance zero, with its apex at the origin.
    """

    balance: float
    dim_in: int
    dim_out: int
    homotopy: str
    betti: tuple[int, ...]
    components: int
    dimension: int
    singular: bool


def quadric(balance: float, dim_in: int, dim_out: int, bias: bool = False) -> Quadric:
    r"""The quadric of one neuron and its topology.

    For :math:`c > 0` the map :math:`(w, a) \mapsto (w/\|w\|, a)` is a homeomorphism onto :math:`S^{D-1} \times \mathbb R^e`, for
    :math:`c < 0` the map to :math:`(w, a/\|a\|)` onto :math:`\mathbb R^D \times S^{e-1}`; for :math:`c = 0` it is a cone, which shrinks to a point.

    Args:
        balance: the balance c.
        dim_in: inputs.
        dim_out: outputs.
        bias: whether the neuron has a bias; it adds one to D.

    Returns:
        :class:`Quadric`.

    Source:
        Derived in the chapter; Nurisso, Leroy and Vaccarino (2024) compute the Betti numbers of the invariant set.

    Example:
        >>> quadric(0.5, 2, 1).homotopy, quadric(-0.5, 2, 1).homotopy
        ('sphere of dimension 1', 'two points')
    """
    c = _checks.number("balance", balance)
    D, e = sizes(dim_in, dim_out, bias)
    sphere = None if c == 0 else (D if c > 0 else e) - 1
    betti: tuple[int, ...] = (1,) if sphere is None else (2,) if sphere == 0 else (1, *[0] * (sphere - 1), 1)
    kind = "point" if sphere is None else "two points" if sphere == 0 else f"sphere of dimension {sphere}"
    return Quadric(c, D, e, kind, betti, betti[0], D + e - 1, c == 0)


def betti_numbers(balances: Any, dim_in: int, dim_out: int, bias: bool = False) -> list[int]:
    r"""Betti numbers of the invariant set of a two-layer network, by Künneth's formula.

    .. math:: P(t) = (1 + t^{D-1})^{m_+} (1 + t^{e-1})^{m_-}, \qquad 1 + t^0 = 2,

    with :math:`m_\pm` the numbers of positive and negative balances; balances of zero contribute a factor 1.

    Args:
        balances: one number per hidden neuron.
        dim_in: inputs.
        dim_out: outputs.
        bias: whether hidden neurons have biases.

    Returns:
        :math:`[\beta_0, \beta_1, \dots]` up to the last that is not zero; exact integers.

    Raises:
        ValueError: no neuron, sizes below one.

    Source:
        Derived in the chapter; Nurisso, Leroy and Vaccarino (2024) compute them too.

    Example:
        >>> betti_numbers([1, 1, 1, -1, -1], dim_in=2, dim_out=1)
        [4, 12, 12, 4]
    """
    total = [1]
    for c in one_dimension("balances", balances):
        factor = quadric(c, dim_in, dim_out, bias).betti
        product = [0] * (len(total) + len(factor) - 1)
        for i, x in enumerate(total):
            for j, y in enumerate(factor):
                product[i + j] += x * y
        total = product
    return total


def dimension(hidden: int, dim_in: int, dim_out: int, bias: bool = False) -> int:
    r"""Dimension of the invariant set, :math:`m(D + e - 1)`: one less than the number of weights for every neuron.

    Args:
        hidden: number m of hidden neurons.
        dim_in: inputs.
        dim_out: outputs.
        bias: whether hidden neurons have biases.

    Returns:
        The dimension.

    Example:
        >>> dimension(5, 2, 1)
        10
    """
    D, e = sizes(dim_in, dim_out, bias)
    return _checks.integer("hidden", hidden) * (D + e - 1)


def components(balances: Any, dim_in: int, dim_out: int, bias: bool = False, up_to_permutation: bool = False) -> int:
    r"""Number of connected components of the invariant set.

    .. math:: \beta_0 = 2^{m_-[e=1]}\; 2^{m_+[D=1]} .

    With ``up_to_permutation`` two components count as one if permuting neurons of the same sign of the balance, and
    rescaling each to the balance of its new place, takes one to the other:
    :math:`(m_- + 1)` for :math:`e = 1` times :math:`(m_+ + 1)` for :math:`D = 1`; what is left is the number of positive signs.
    (A free neuron can change places with a frozen one as well; see :func:`quotient_components`.)

    Args:
        balances: one number per hidden neuron.
        dim_in: inputs.
        dim_out: outputs; from 2 on (and :math:`D \ge 2`) the set is connected.
        bias: whether hidden neurons have biases.
        up_to_permutation: count classes.

    Returns:
        The number, an exact integer.

    Raises:
        ValueError: no neuron, sizes below one.

    Source:
        Derived in the chapter. Nurisso, Leroy and Vaccarino (2024) count components too; their own count up to symmetry is not used here.

    Example:
        >>> components([-1, -1, -1, 0.5], 2, 1), components([-1, -1, -1, 0.5], 2, 1, up_to_permutation=True)
        (8, 4)
    """
    minus, plus, _ = _two_sheeted(balances, dim_in, dim_out, bias)
    return (minus + 1) * (plus + 1) if up_to_permutation else 2 ** (minus + plus)


def quotient_components(balances: Any, dim_in: int, dim_out: int, bias: bool = False) -> int:
    r"""Components of the invariant set when points that differ by any permutation and rescaling are one.

    :math:`m + 1` if every neuron is frozen in the same way, else 1: a free neuron can take any sign and then change places with a frozen
    one. Connected does not mean that every component expresses every function: that is :func:`deeplimits.topology.reachable`.

    Args:
        balances: one number per hidden neuron.
        dim_in: inputs.
        dim_out: outputs.
        bias: whether hidden neurons have biases.

    Returns:
        The number.

    Source:
        Derived in the chapter.

    Example:
        >>> quotient_components([-1, -1, -1], 2, 1), quotient_components([-1, -1, 0.5], 2, 1)
        (4, 1)
    """
    minus, plus, hidden = _two_sheeted(balances, dim_in, dim_out, bias)
    return hidden + 1 if hidden in (minus, plus) else 1


def _two_sheeted(balances: Any, dim_in: int, dim_out: int, bias: bool) -> tuple[int, int, int]:
    """Neurons of negative and of positive balance whose quadric has two components; number of neurons."""
    shapes = [quadric(c, dim_in, dim_out, bias) for c in one_dimension("balances", balances)]
    minus = sum(q.components == 2 and q.balance < 0 for q in shapes)
    plus = sum(q.components == 2 and q.balance > 0 for q in shapes)
    return minus, plus, len(shapes)


def quadric_points(balance: float, dim_in: int, dim_out: int, samples: int, bias: bool = False, reach: float = 1.2, seed: int = 0) -> np.ndarray:
    r"""Random points on a quadric, :math:`(w, a)` side by side.

    .. math:: (w, a) = \sqrt{|c|}\,(\cosh\tau\,\hat w,\; \sinh\tau\,\hat a), \quad c > 0,

    with the two functions exchanged for :math:`c < 0` and :math:`\tau(\hat w, \hat a)` for :math:`c = 0`; directions uniform, and
    :math:`\tau \ge 0` with density proportional to :math:`\sinh^{n-1}` (the dimension n of the direction that shrinks), up to ``reach``.

    Args:
        balance: the balance c.
        dim_in: inputs.
        dim_out: outputs.
        samples: number of points.
        bias: whether the neuron has a bias.
        reach: largest :math:`\tau`.
        seed: of the generator.

    Returns:
        Array (samples, D + e).

    Example:
        >>> import numpy as np
        >>> x = quadric_points(-0.5, 2, 1, samples=4)
        >>> np.round((x[:, :2] ** 2).sum(1) - x[:, 2] ** 2, 12).tolist()
        [-0.5, -0.5, -0.5, -0.5]
    """
    shape = quadric(balance, dim_in, dim_out, bias)
    count, limit = _checks.integer("samples", samples), _checks.positive("reach", reach)
    rng = np.random.default_rng(_checks.integer("seed", seed, minimum=0))
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rng.normal(size=(count, n)) for n in (shape.dim_in, shape.dim_out)))
    shrinking = shape.dim_out if shape.balance > 0 else shape.dim_in if shape.balance < 0 else shape.dimension
    tau = limit * rng.random((count, 1)) ** (1 / shrinking)
    if shape.singular:
        return np.hstack([tau * u, tau * v])
    long, short = abs(shape.balance) ** 0.5 * np.cosh(tau), abs(shape.balance) ** 0.5 * np.sinh(tau)
    return np.hstack([long * u, short * v] if shape.balance > 0 else [short * u, long * v])


def counted_components(
    balance: float, dim_in: int, dim_out: int, bias: bool = False, samples: int = 3000, radius: float = 0.35, seed: int = 0
) -> int:
    r"""Components of one quadric by a second route: a neighbour graph on random points, no formula.

    Points closer than ``radius`` (in units of :math:`\sqrt{|c|}`, or of 1 for the cone) are joined. Two sheets are at least 2 such
    units apart. Reliable up to :math:`D + e = 4` or so with the default number of points.

    Args:
        balance: the balance c.
        dim_in: inputs.
        dim_out: outputs.
        bias: whether the neuron has a bias.
        samples: points.
        radius: joining distance.
        seed: of the points.

    Returns:
        Number of components of the graph.

    Example:
        >>> counted_components(-1.0, 2, 1), counted_components(1.0, 2, 1)
        (2, 1)
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    points = quadric_points(balance, dim_in, dim_out, samples, bias, reach=0.6, seed=seed)
    unit = abs(_checks.number("balance", balance)) ** 0.5 or 1.0
    pairs = cKDTree(points).query_pairs(_checks.positive("radius", radius) * unit, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(samples, samples))
    return int(connected_components(graph, directed=False)[0])


def counted_classes(balances: Sequence[float], dim_in: int, dim_out: int, bias: bool = False, samples: int = 400, seed: int = 0) -> int:
    """Components of the quotient by a second route: random points, each swapped and rescaled in every way.

    A vertex for each component of the invariant set; an edge wherever a random network of one component, after a permutation and
    rescaling of its neurons, lies in another.

    Args:
        balances: one number per neuron, none zero; at most 6 neurons.
        dim_in: inputs.
        dim_out: outputs.
        bias: whether hidden neurons have biases.
        samples: random networks.
        seed: of the points.

    Returns:
        Number of components of the graph.

    Raises:
        ValueError: a balance of zero, or more than 6 neurons.

    Example:
        >>> counted_classes([-1, -1, -1], 2, 1), counted_classes([-1, -1, 0.5], 2, 1)
        (4, 1)
    """
    from itertools import permutations, product

    levels = one_dimension("balances", balances)
    if 0 in levels or len(levels) > 6:
        raise ValueError(f"balances must be at most 6 numbers, none of them zero; got {levels}")
    shapes = [quadric(c, dim_in, dim_out, bias) for c in levels]
    points = np.stack([quadric_points(c, dim_in, dim_out, samples, bias, seed=seed + k) for k, c in enumerate(levels)], 1)
    D = shapes[0].dim_in
    # Which component of slot k a neuron lands in is decided by a sign that rescaling keeps: that of a, or that of w.
    readers = [None if q.components == 1 else (D if q.balance < 0 else 0) for q in shapes]
    parent = {s: s for s in product(*[(0,) if r is None else (-1, 1) for r in readers])}

    def root(x: tuple[int, ...]) -> tuple[int, ...]:
        while parent[x] != x:
            x = parent[x]
        return x

    orders = list(permutations(range(len(levels))))
    for network in np.sign(points).astype(int):
        where = [tuple(0 if r is None else int(network[k, r]) for k, r in zip(order, readers, strict=True)) for order in orders]
        for other in where[1:]:
            parent[root(other)] = root(where[0])
    return len({root(x) for x in parent})


def quadric_surface(balance: float, height: float = 1.5, rows: int = 21, columns: int = 29) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""The quadric of a neuron with two inputs and one output as a grid to draw: a hyperboloid or a cone.

    .. math:: (w_1, w_2, a) = (r\cos\varphi,\; r\sin\varphi,\; a), \qquad r^2 = c + a^2 .

    Args:
        balance: c; above zero one sheet, below zero two (the middle row of the grid is then NaN, a gap for plotters).
        height: largest :math:`|a|`, above :math:`\sqrt{-c}`.
        rows: odd number of rows, from :math:`a = -` ``height`` to ``height``.
        columns: points around.

    Returns:
        Arrays :math:`w_1, w_2, a` of shape (rows, columns).

    Raises:
        ValueError: an even number of rows, or a height that misses the lower balance.

    Source:
        Elementary geometry.

    Example:
        >>> w1, w2, a = quadric_surface(0.5, rows=3, columns=5)
        >>> [round(float(x), 6) for x in (w1**2 + w2**2 - a**2)[1]]
        [0.5, 0.5, 0.5, 0.5, 0.5]
    """
    c, top = _checks.number("balance", balance), _checks.positive("height", height)
    if _checks.integer("rows", rows, 3) % 2 == 0:
        raise ValueError(f"rows must be odd; got {rows}")
    bottom = max(0.0, -c) ** 0.5
    if top <= bottom:
        raise ValueError(f"height must be above {bottom:g}, where the sheets of balance {c:g} begin; got {height!r}")
    if c < 0:  # even steps of the radius round off the bottom of the sheet
        half = np.sqrt(np.linspace(0, (top**2 + c) ** 0.5, rows // 2) ** 2 - c)
        level = np.concatenate([-half[::-1], [np.nan], half])
    else:
        level = np.linspace(-top, top, rows)
    angle = np.linspace(0, 2 * np.pi, _checks.integer("columns", columns, 4))
    radius = np.sqrt(np.maximum(c + level**2, 0.0))[:, None]
    return radius * np.cos(angle), radius * np.sin(angle), np.repeat(level[:, None], columns, 1)

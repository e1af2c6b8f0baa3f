"""Which maps keep, contract or do not increase which metric (the table of the first chapter), and where that fails."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deeplimits import metrics as m

PROPERTY = settings(
    derandomize=True, deadline=None, max_examples=12, database=None, suppress_health_check=[HealthCheck.too_slow]
)
PAIRS = 40


def spectral(f):
    """A function of the eigenvalues of a symmetric matrix."""

    def apply(a):
        values, vectors = torch.linalg.eigh(a)
        return (vectors * f(values).unsqueeze(-2)) @ vectors.mT

    return apply


class Draw:
    """Random ingredients of the maps below."""

    def __init__(self, seed, n):
        self.g, self.n = torch.Generator().manual_seed(seed), n

    def normal(self, *shape):
        return torch.randn(shape or (self.n, self.n), generator=self.g, dtype=torch.float64)

    def uniform(self, *shape):
        return torch.rand(shape or (self.n, self.n), generator=self.g, dtype=torch.float64)

    def unit(self, p=2):
        w = self.normal()
        return w / torch.linalg.matrix_norm(w, {1: 1, 2: 2, math.inf: math.inf}[p])

    def orthogonal(self):
        return torch.linalg.qr(self.normal()).Q

    def stochastic(self):
        p = self.uniform() + 0.01
        return p / p.sum(1, keepdim=True)


def dense(d, p, phi):
    w, b = d.unit(p), d.normal(d.n)
    return lambda x: phi(x @ w.T + b)


def gradient_step(d, phi):
    w, b = d.unit(), d.normal(d.n)
    return lambda x: x - 2 * phi(x @ w.T + b) @ w


def max_plus(d):
    a = 3 * d.normal()
    return lambda x: (a + x.unsqueeze(-2)).amax(-1)


def positive(d, phi=lambda x: x, bias=True):
    w, c = d.uniform() * (d.uniform() > 0.3) + torch.eye(d.n, dtype=torch.float64), d.uniform(d.n) * bias
    return lambda x: phi(x @ w.T + c)


def congruence(d, rows=None):
    w = d.normal(rows or d.n, d.n)
    return lambda a: w @ a @ w.mT


def plus(d):
    c = d.normal()
    return lambda a: a + c @ c.mT


def moebius(d):
    """The translation of the Poincare ball that carries 0 to a."""
    a = 0.5 * torch.tanh(d.normal(d.n)) / math.sqrt(d.n)

    def apply(x):
        xa, xx, aa = (x * a).sum(-1, keepdim=True), x.square().sum(-1, keepdim=True), a.square().sum()
        return ((1 + 2 * xa + xx) * a + (1 - aa) * x) / (1 + 2 * xa + aa * xx)

    return apply


def ball_affine(d):
    w, b = d.unit(), d.normal(d.n)
    return lambda x: 0.6 * x @ w.T + 0.4 * b / b.norm()


def signed_permutation(d):
    order, signs = torch.randperm(d.n, generator=d.g), d.normal(d.n).sign()
    return lambda x: signs * x[..., order]


def rotation(d):
    q = d.orthogonal()
    return lambda x: x @ q.T


def scaling(d):
    s = d.normal(d.n).exp()
    return lambda x: s * x


def affine_law(d, orthogonal=False):
    w, b = d.orthogonal() if orthogonal else d.unit(), d.normal(d.n)
    return lambda law: law.push_forward(w, b)


def noisy_layer(d):
    w, c = d.normal(), d.normal()
    return lambda law: law.push_forward(w, noise=c @ c.mT)


def kernel(d):
    p = d.stochastic()
    return lambda law: law @ p


def mask(d):
    keep = (d.uniform(d.n) > 0.3).double()
    return lambda x: keep * x


def orthogonal_congruence(d):
    q = d.orthogonal()
    return lambda a: q @ a @ q.mT


def power(r):
    return lambda d: lambda x: x**r


def matrix_power(r):
    return lambda d: spectral(lambda v: v**r)


def every(f):
    return lambda d: f


inverse, softplus = every(lambda x: 1 / x), torch.nn.functional.softplus
invert_matrix = every(torch.linalg.inv)
eigenvalue_clamp = every(spectral(lambda v: v.clamp(min=0.7)))
SPD_AFFINE = (m.affine_invariant, m.spd_thompson, m.spd_hilbert)

# (metric, map, lower and upper bound of the ratio): equal bounds state an exact factor
CASES = {
    **{f"l{p:g} dense {phi.__name__}": (m.lp(p), lambda d, p=p, phi=phi: dense(d, p, phi), 0, 1)
       for p in (1.0, 2.0, math.inf) for phi in (torch.relu, torch.tanh, torch.sin, torch.abs)},
    **{f"l{p:g} signed permutation": (m.lp(p), signed_permutation, 1, 1) for p in (1.0, 1.5, 2.0, math.inf)},
    **{f"l{p:g} mask": (m.lp(p), mask, 0, 1) for p in (1.0, 2.0, math.inf)},
    "l2 rotation": (m.lp(2), rotation, 1, 1),
    "l2 gradient step relu": (m.lp(2), lambda d: gradient_step(d, torch.relu), 0, 1),
    "l2 gradient step tanh": (m.lp(2), lambda d: gradient_step(d, torch.tanh), 0, 1),
    "l2 softmax": (m.lp(2), every(lambda x: x.softmax(-1)), 0, 0.5),
    "linf max-plus": (m.lp("inf"), max_plus, 0, 1),
    "span max-plus": (m.span, max_plus, 0, 1),
    "angle rotation": (m.angle, rotation, 1, 1),
    "hilbert positive": (m.hilbert, lambda d: positive(d, bias=False), 0, 1),
    "hilbert scaling": (m.hilbert, scaling, 1, 1),
    "hilbert inverse": (m.hilbert, inverse, 1, 1),
    "hilbert power": (m.hilbert, power(-0.7), 0.7, 0.7),
    "thompson positive": (m.thompson, positive, 0, 1),
    "thompson tanh": (m.thompson, lambda d: positive(d, torch.tanh), 0, 1),
    "thompson log1p": (m.thompson, lambda d: positive(d, torch.log1p), 0, 1),
    "thompson softplus": (m.thompson, lambda d: positive(d, softplus), 0, 1),
    "thompson saturating": (m.thompson, lambda d: positive(d, lambda x: x / (1 + x)), 0, 1),
    "thompson scaling": (m.thompson, scaling, 1, 1),
    "thompson inverse": (m.thompson, inverse, 1, 1),
    "thompson power": (m.thompson, power(1.8), 1.8, 1.8),
    **{f"{d.name} congruence": (d, congruence, 1, 1) for d in SPD_AFFINE},
    **{f"{d.name} inverse": (d, invert_matrix, 1, 1) for d in (*SPD_AFFINE, m.log_euclidean)},
    **{f"{d.name} compression": (d, lambda d: congruence(d, max(1, d.n - 1)), 0, 1) for d in SPD_AFFINE},
    **{f"{d.name} plus": (d, plus, 0, 1) for d in SPD_AFFINE[:2]},
    **{f"{d.name} square root": (d, matrix_power(0.5), 0, 0.5) for d in SPD_AFFINE},
    "log_euclidean power": (m.log_euclidean, matrix_power(-0.6), 0.6, 0.6),
    "log_euclidean orthogonal": (m.log_euclidean, orthogonal_congruence, 1, 1),
    "log_euclidean clamp": (m.log_euclidean, eigenvalue_clamp, 0, 1),
    "affine_invariant clamp": (m.affine_invariant, eigenvalue_clamp, 0, 1),
    "poincare moebius": (m.poincare, moebius, 1, 1),
    "poincare rotation": (m.poincare, rotation, 1, 1),
    "klein affine": (m.klein, ball_affine, 0, 1),
    "wasserstein dense": (m.wasserstein, lambda d: dense(d, 2, torch.tanh), 0, 1),
    "wasserstein_1 dense": (m.wasserstein_1, lambda d: dense(d, 2, torch.relu), 0, 1),
    "wasserstein rotation": (m.wasserstein, rotation, 1, 1),
    "gaussian_wasserstein affine": (m.gaussian_wasserstein, affine_law, 0, 1),
    "gaussian_wasserstein orthogonal": (m.gaussian_wasserstein, lambda d: affine_law(d, True), 1, 1),
    "total_variation kernel": (m.total_variation, kernel, 0, 1),
    "kl kernel": (m.kl, kernel, 0, 1),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@PROPERTY
@given(seed=st.integers(0, 10**6), n=st.integers(2, 5))
def test_maps_and_their_factors(case, seed, n):
    metric, build, low, high = case
    layer_map = build(Draw(seed, n))
    pairs = 6 if metric.domain == "clouds" else PAIRS
    generator = torch.Generator().manual_seed(seed + 1)
    x, y = metric.sample(pairs, n, generator), metric.sample(pairs, n, generator)
    before, after = metric(x, y), metric(layer_map(x), layer_map(y))
    slack = 1e-9 * (1 + before)
    assert (after <= high * before + slack).all()
    assert (after >= low * before - slack).all()


@PROPERTY
@given(seed=st.integers(0, 10**6), n=st.integers(2, 5))
def test_funk_under_positive_maps(seed, n):
    layer_map, generator = positive(Draw(seed, n), bias=False), torch.Generator().manual_seed(seed)
    x, y = m.funk.sample(PAIRS, n, generator), m.funk.sample(PAIRS, n, generator)
    assert (m.funk(layer_map(x), layer_map(y)) <= m.funk(x, y) + 1e-12).all()
    torch.testing.assert_close(m.funk(x, y) + m.funk(y, x), m.hilbert(x, y))
    torch.testing.assert_close(torch.maximum(m.funk(x, y), m.funk(y, x)), m.thompson(x, y))


@PROPERTY
@given(seed=st.integers(0, 10**6))
def test_noisy_layers_on_normal_laws(seed):
    layer_map, generator = noisy_layer(Draw(seed, 3)), torch.Generator().manual_seed(seed)
    p, q = (m.gaussian_wasserstein.sample(4, 3, generator) for _ in range(2))
    for metric in (m.total_variation, m.kl):
        assert (metric(layer_map(p), layer_map(q)) <= metric(p, q) * (1 + 1e-9) + 1e-10).all()


@PROPERTY
@given(seed=st.integers(0, 10**6), n=st.integers(2, 6))
def test_softmax_is_an_isometry_from_the_span_to_hilbert(seed, n):
    d = Draw(seed, n)
    x, y = 3 * d.normal(PAIRS, n), 3 * d.normal(PAIRS, n)
    torch.testing.assert_close(m.hilbert(x.softmax(-1), y.softmax(-1)), m.span(x, y), rtol=1e-10, atol=1e-12)
    assert (m.total_variation(x.softmax(-1), y.softmax(-1)) <= 0.5 * m.lp("inf")(x, y) + 1e-12).all()


@PROPERTY
@given(seed=st.integers(0, 10**6), n=st.integers(1, 5))
def test_the_two_models_of_hyperbolic_space_agree(seed, n):
    generator = torch.Generator().manual_seed(seed)
    x, y = m.poincare.sample(PAIRS, n, generator), m.poincare.sample(PAIRS, n, generator)
    torch.testing.assert_close(m.klein(m.to_klein(x), m.to_klein(y)), m.poincare(x, y), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(m.from_klein(m.to_klein(x)), x, rtol=1e-9, atol=1e-9)


def test_decision_functions_on_an_invariant_set():
    """A quarter turn keeps the corners of a square: sup over them is then semi-invariant, here even invariant."""
    corners = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]], dtype=torch.float64)
    d, turn = m.sup(corners), torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    f, g = d.sample(20, 2, generator), d.sample(20, 2, generator)
    moved = d(m.pull_back(f, lambda x: x @ turn.T), m.pull_back(g, lambda x: x @ turn.T))
    torch.testing.assert_close(moved, d(f, g))
    fold = d(m.pull_back(f, torch.abs), m.pull_back(g, torch.abs))  # sends K to one of its points
    assert (fold <= d(f, g)).all() and (fold < 0.9 * d(f, g)).any()
    grown = d(m.pull_back(f, lambda x: 0.3 * x), m.pull_back(g, lambda x: 0.3 * x))  # leaves K: only an estimate
    assert (grown > d(f, g)).any()


def test_a_bias_breaks_hilbert_but_not_thompson():
    x, y, c = (torch.tensor(v, dtype=torch.float64) for v in ((1.0, 1.0), (2.0, 2.0), (1.0, 0.0)))
    assert float(m.hilbert(x, y)) == 0
    assert float(m.hilbert(x + c, y + c)) == pytest.approx(math.log(4 / 3), rel=1e-12)
    assert float(m.hilbert(x + c, y + c)) == pytest.approx(0.2876820724, abs=1e-10)
    assert m.thompson(x + c, y + c) <= m.thompson(x, y)


def test_eigenvalue_clamp_increases_thompson_for_some_pair():
    generator = torch.Generator().manual_seed(0)
    a, b = m.spd_thompson.sample(2000, 3, generator), m.spd_thompson.sample(2000, 3, generator)
    clamp = spectral(lambda v: v.clamp(min=0.7))
    assert (m.spd_thompson(clamp(a), clamp(b)) / m.spd_thompson(a, b)).max() > 1.001


def test_inverted_dropout_expands_by_one_over_keep():
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x.clone()
    y[:, 0] += 1
    scale = torch.zeros(8, dtype=torch.float64)
    scale[0] = 1 / 0.7
    assert float((m.lp(2)(scale * x, scale * y) / m.lp(2)(x, y)).max()) == pytest.approx(1.428571, abs=1e-6)

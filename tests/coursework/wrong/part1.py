"""Wrong answers to the problem sets of Part I, and answers that the checks of the graded set must accept."""

WRONG = {
    "open-part1": {
        "q1": [
            ("mixes up row sums and column sums", '''
norms = [float(weight.abs().sum(1).max()), float(torch.linalg.matrix_norm(weight, 2)), float(weight.abs().sum(0).max())]
guaranteed = [n <= 1 for n in norms]
row = int(weight.abs().sum(1).argmax())
witness_x, witness_y = 5 * weight[row].sign(), 6 * weight[row].sign()
'''),
            ("takes the Frobenius norm for p = 2, and so sees no guarantee", '''
norms = [float(torch.linalg.matrix_norm(weight, 1)), float(weight.norm()), float(torch.linalg.matrix_norm(weight, torch.inf))]
guaranteed = [n <= 1 for n in norms]
row = int(weight.abs().sum(1).argmax())
witness_x, witness_y = 5 * weight[row].sign(), 6 * weight[row].sign()
'''),
            ("forgets that the unit may be off", '''
norms = [float(torch.linalg.matrix_norm(weight, p)) for p in (1, 2, torch.inf)]
guaranteed = [False, True, False]
signs = weight[int(weight.abs().sum(1).argmax())].sign()
witness_x, witness_y = -5 * signs, -6 * signs
'''),
            ("moves along the top singular vector, the worst direction of another norm", '''
norms = [float(torch.linalg.matrix_norm(weight, p)) for p in (1, 2, torch.inf)]
guaranteed = [False, True, False]
v = torch.linalg.svd(weight).Vh[0]
witness_x, witness_y = 5 * v, 6 * v
'''),
        ],
        "q2": [
            ("forgets the factor 2", '''
def fisher_rao(p, q):
    return 2 * torch.asin(torch.linalg.vector_norm(p.sqrt() - q.sqrt(), dim=-1) / 2)
'''),
            ("the formula as it stands", '''
def fisher_rao(p, q):
    return 2 * torch.arccos((p.sqrt() * q.sqrt()).sum(-1).clamp(-1, 1))
'''),
            ("Hellinger's distance, the chord instead of the arc", '''
def fisher_rao(p, q):
    return 2 * torch.linalg.vector_norm(p.sqrt() - q.sqrt(), dim=-1)
'''),
            ("sums over everything", '''
def fisher_rao(p, q):
    return 4 * torch.asin((p.sqrt() - q.sqrt()).square().sum().sqrt() / 2)
'''),
        ],
        "q3": [
            ("trusts random pairs: everything is safe", '''
fisher_safe = dict.fromkeys(maps, True)
hilbert_safe = {"channel": True, "evidence": True, "temperature": power <= 1, "forget": True}
witness = {}
'''),
            ("gives pairs from far apart, and thinks that evidence changes Hilbert distances", '''
fisher_safe = {"channel": True, "evidence": False, "temperature": False, "forget": True}
hilbert_safe = {"channel": True, "evidence": False, "temperature": power <= 1, "forget": True}
far = (torch.tensor([0.97, 0.01, 0.01, 0.01], dtype=F64), torch.tensor([0.01, 0.01, 0.01, 0.97], dtype=F64))
witness = {"evidence": far, "temperature": far}
'''),
            ("calls the channel unsafe because it is not invertible", '''
fisher_safe = {"channel": False, "evidence": False, "temperature": False, "forget": True}
hilbert_safe = {"channel": False, "evidence": True, "temperature": power <= 1, "forget": True}
pair = (torch.tensor([0.7, 0.1, 0.1, 0.1], dtype=F64), torch.tensor([0.1, 0.7, 0.1, 0.1], dtype=F64))
witness = dict.fromkeys(["channel", "evidence", "temperature"], pair)
'''),
        ],
        "q4": [
            ("forgets the half in total variation", '''
def coefficient(K):
    return float((K[:, None] - K[None]).abs().sum(-1).max())

per_layer = [coefficient(torch.linalg.matrix_power(kernel, k)) ** (1 / k) for k in range(1, 9)]
limit = float(torch.linalg.eigvals(kernel).abs().sort().values[-2])
promised = math.ceil(math.log(1e-6) / math.log(coefficient(kernel))) if coefficient(kernel) != 1 else 0
needed = next(k for k in range(1, 500) if coefficient(torch.linalg.matrix_power(kernel, k)) <= 1e-6)
'''),
            ("takes powers of the entries, and the largest eigenvalue", '''
def coefficient(K):
    return float(0.5 * (K[:, None] - K[None]).abs().sum(-1).max())

per_layer = [coefficient(kernel**k) ** (1 / k) for k in range(1, 9)]
limit = float(torch.linalg.eigvals(kernel).abs().max())
promised = math.ceil(math.log(1e-6) / math.log(coefficient(kernel)))
needed = promised
'''),
            ("compares columns", '''
def coefficient(K):
    return float(0.5 * (K.T[:, None] - K.T[None]).abs().sum(-1).max())

per_layer = [coefficient(torch.linalg.matrix_power(kernel, k)) ** (1 / k) for k in range(1, 9)]
limit = float(torch.linalg.eigvals(kernel).abs().sort().values[-2])
promised, needed = 20, 20
'''),
        ],
        "q5": [
            ("forgets that g may leave in the other direction", '''
to_set = lambda x: (x[:, None] - test_set).abs().amin(1)
largest = float(to_set(layer5(test_set)).max())
f_worst = to_set
g_worst = lambda x: torch.zeros_like(x)
'''),
            ("steeper functions than allowed", '''
to_set = lambda x: (x[:, None] - test_set).abs().amin(1)
largest = 2 * float(to_set(layer5(test_set)).max())
f_worst = lambda x: 10 * to_set(x)
g_worst = lambda x: -10 * to_set(x)
'''),
            ("thinks the supremum over the test set cannot grow", '''
largest = 0.0
f_worst = lambda x: x
g_worst = lambda x: x
'''),
        ],
        "q6": [
            ("one matrix for all pairs", '''
from scipy.stats import chi2
draws = 50_000
exact = float(chi2.sf(width / std**2, width))
h = torch.Generator().manual_seed(1)
one = torch.randn(width, width, generator=h, dtype=F64) * std / width**0.5
e = torch.nn.functional.normalize(torch.randn(draws, width, generator=h, dtype=F64), dim=1)
share = float(((e @ one.T).norm(dim=1) > 1).double().mean())
share_se = math.sqrt(share * (1 - share) / draws)
some = float((torch.linalg.matrix_norm(torch.randn(draws, width, width, generator=h, dtype=F64) * std / width**0.5, 2) > 1).double().mean())
some_se = math.sqrt(some * (1 - some) / draws)
'''),
            ("the deviation of one draw as the error of the mean", '''
from scipy.stats import chi2
draws = 50_000
exact = float(chi2.sf(width / std**2, width))
h = torch.Generator().manual_seed(1)
m = torch.randn(draws, width, width, generator=h, dtype=F64) * std / width**0.5
e = torch.nn.functional.normalize(torch.randn(draws, width, 1, generator=h, dtype=F64), dim=1)
apart, some_pair = ((m @ e).norm(dim=(1, 2)) > 1).double(), (torch.linalg.matrix_norm(m, 2) > 1).double()
share, share_se, some, some_se = float(apart.mean()), float(apart.std()), float(some_pair.mean()), float(some_pair.std())
'''),
            ("entries of variance σ² instead of σ²/N, and the same in the formula", '''
from scipy.stats import chi2
draws = 50_000
exact = float(chi2.sf(1 / std**2, width))
h = torch.Generator().manual_seed(1)
m = torch.randn(draws, width, width, generator=h, dtype=F64) * std
e = torch.nn.functional.normalize(torch.randn(draws, width, 1, generator=h, dtype=F64), dim=1)
apart, some_pair = ((m @ e).norm(dim=(1, 2)) > 1).double(), (torch.linalg.matrix_norm(m, 2) > 1).double()
share, some = float(apart.mean()), float(some_pair.mean())
share_se, some_se = float(apart.std()) / draws**0.5, float(some_pair.std()) / draws**0.5
'''),
        ],
    },
    "graded-part1": {
        "q1": [
            ("adds instead of multiplying", """
point_a = start + torch.tensor([2 * far, far, far, far], dtype=F64)
point_b = start + torch.tensor([far / 2, -far / 2, 0, 0], dtype=F64).clamp(min=0)
point_c = start
"""),
            ("takes one and the same point for the first two", """
point_a = point_b = start * torch.tensor([far, 0, 0, 0], dtype=F64).exp()
point_c = start * torch.tensor([far, 0, 0, 0], dtype=F64).exp()
"""),
        ],
        "q2": [
            ("the formula as it stands", """
def stein(A, B):
    return (torch.logdet((A + B) / 2) - 0.5 * torch.logdet(A) - 0.5 * torch.logdet(B)).clamp(min=0).sqrt()
"""),
            ("forgets the root", """
def stein(A, B):
    lower = torch.linalg.cholesky(A)
    inner = torch.linalg.solve_triangular(lower, B, upper=False)
    t = torch.linalg.eigvalsh(torch.linalg.solve_triangular(lower, inner.mT, upper=False)).log()
    return torch.log1p(2 * torch.sinh(t / 4).square()).sum(-1)
"""),
            ("the arithmetic mean of the determinants in place of that of the matrices", """
def stein(A, B):
    a, b = torch.linalg.det(A), torch.linalg.det(B)
    return (torch.log((a + b) / 2) - 0.5 * torch.log(a * b)).abs().sqrt()
"""),
        ],
        "q3": [
            ("random pairs", """
h = torch.Generator().manual_seed(0)
R = torch.randn(2, 3, 3, generator=h, dtype=F64)
pair_log = pair_thompson = tuple(R @ R.mT + 0.1 * torch.eye(3, dtype=F64))
pair_hilbert = tuple(torch.exp(torch.randn(2, 3, generator=h, dtype=F64)))
"""),
            ("diagonal matrices, and two points on one ray", """
pair_log = pair_thompson = torch.diag(torch.tensor([1.0, 2, 3], dtype=F64)), torch.diag(torch.tensor([9.0, 0.1, 1], dtype=F64))
pair_hilbert = torch.ones(3, dtype=F64), 2 * torch.ones(3, dtype=F64)
"""),
        ],
        "q4": [
            ("compares columns, and takes one token as the channel", """
tau = dl.metrics.dobrushin(torch.softmax(head.T.log(), -1))
channel = torch.tensor([1.0, 0, 0, 0, 0, 0], dtype=F64)
curve = [1 - t + t * tau for t in (0, 0.25, 0.5, 0.75, 1)]
best = 1.0
"""),
            ("thinks that the coefficient is linear in t, and always smallest without a skip", """
tau = dl.metrics.dobrushin(head)
i, j = divmod(int((head[:, None] - head[None]).abs().sum(-1).argmax()), 6)
channel = head[i]
curve = [1 - t + t * tau for t in (0, 0.25, 0.5, 0.75, 1)]
best = 0.99
"""),
        ],
        "q5": [
            ("a matrix of its own for each vector", """
draws = 120_000
W, V = torch.randn(2, draws, 6, 6, generator=torch.Generator().manual_seed(3), dtype=F64)
x, y = torch.relu(W @ left), torch.relu(V @ right)
alive = (x.amax(-1) > 0) & (y.amax(-1) > 0)
ratio = dl.metrics.angle(x[alive], y[alive]) / angle
dead = 1 - float(alive.double().mean())
opened = float((ratio > 1).double().mean())
opened_se = math.sqrt(opened * (1 - opened) / len(ratio))
mean_ratio, mean_ratio_se = float(ratio.mean()), float(ratio.std()) / len(ratio) ** 0.5
"""),
            ("counts a draw without an angle as angle zero", """
draws = 120_000
z = torch.relu(torch.stack([left, right]) @ torch.randn(draws, 6, 6, generator=torch.Generator().manual_seed(3), dtype=F64).mT)
alive = (z.amax(-1) > 0).all(-1)
ratio = torch.zeros(draws, dtype=F64)
ratio[alive] = dl.metrics.angle(z[alive, 0], z[alive, 1]) / angle
dead = 1 - float(alive.double().mean())
opened = float((ratio > 1).double().mean())
opened_se = math.sqrt(opened * (1 - opened) / draws)
mean_ratio, mean_ratio_se = float(ratio.mean()), float(ratio.std()) / draws**0.5
"""),
            ("only draws in which both images are zero are left out, and deviations are given as errors", """
draws = 120_000
z = torch.relu(torch.stack([left, right]) @ torch.randn(draws, 6, 6, generator=torch.Generator().manual_seed(3), dtype=F64).mT)
alive = (z.amax(-1) > 0).all(-1)
ratio = dl.metrics.angle(z[alive, 0], z[alive, 1]) / angle
dead = 1 - float((z.amax(-1) > 0).any(-1).double().mean())
opened, mean_ratio = float((ratio > 1).double().mean()), float(ratio.mean())
opened_se, mean_ratio_se = float((ratio > 1).double().std()), float(ratio.std())
"""),
        ],
    },
}

RIGHT: dict[str, dict[str, str]] = {
    "graded-part1": {
        "q1": """
point_a = start * torch.tensor([2 * far, far, far, far], dtype=F64).exp()
point_b = start * torch.tensor([far / 2, -far / 2, 0, 0], dtype=F64).exp()
point_c = start * torch.tensor([far, 0, 0, 0], dtype=F64).exp()
point_c = point_c * start.sum() / point_c.sum()
""",
        "q2": """
def stein(A, B):
    from mpmath import mp

    with mp.workdps(60):
        logdet = lambda M: mp.log(mp.det(M))
        pair = lambda a, b: float(mp.sqrt(abs(logdet((a + b) / 2) - (logdet(a) + logdet(b)) / 2)))
        values = [pair(*(mp.matrix(m.tolist()) for m in ab)) for ab in zip(A.reshape(-1, *A.shape[-2:]), B.reshape(-1, *B.shape[-2:]))]
    return torch.tensor(values, dtype=F64).reshape(A.shape[:-2])
""",
        "q3": """
def worst(T, metric, seed):
    found = dl.check_semi_invariance(T, metric, samples=2000, seed=seed, dim=3, steps=60)
    return found.x, found.y

pair_log = worst(compress, dl.metrics.log_euclidean, 0)
pair_thompson = worst(clamp, dl.metrics.spd_thompson, 0)
pair_hilbert = torch.tensor([1e-4, 1e-4, 1e-4], dtype=F64), torch.tensor([1.011, 1.0, 1.0], dtype=F64)
""",
        "q4": """
tau = dl.metrics.dobrushin(head)
corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=F64)] * 6)[1:-1]
images = corners @ head.T
channel = corners[(images.amax(1) - images.amin(1)).argmax()]
mix = lambda t: dl.metrics.dobrushin((1 - t) * torch.eye(6, dtype=F64) + t * head)
curve = [mix(t) for t in (0, 0.25, 0.5, 0.75, 1)]
best = min(range(101), key=lambda k: round(mix(k / 100), 12)) / 100
""",
        "q5": """
draws = 120_000
T = dl.Dense(6, "relu", weight_std=6**0.5).sample(torch.Generator().manual_seed(3), samples=draws, dtype=F64)
z = T(torch.stack([left, right]).expand(draws, 2, 6))
alive = (z.amax(-1) > 0).all(-1)
ratio = dl.metrics.angle(z[alive, 0], z[alive, 1]) / angle
dead = 1 - float(alive.double().mean())
opened = float((ratio > 1).double().mean())
opened_se = math.sqrt(opened * (1 - opened) / len(ratio))
mean_ratio, mean_ratio_se = float(ratio.mean()), float(ratio.std()) / len(ratio) ** 0.5
""",
    },
}

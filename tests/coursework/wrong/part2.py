"""Wrong answers to the problem sets of Part II, and answers that the checks of the graded set must accept."""

CLIMB = '''
generator, x, seen = torch.Generator().manual_seed(12), torch.zeros(4000, 3, dtype=F64), []
for n in range(1, 201):
    A = (torch.rand(4000, 3, 3, generator=generator, dtype=F64) < chance).double()
    x = (A + x[:, None, :]).amax(-1)
    if n in (100, 200):
        seen.append(x.amax(-1))
distances = torch.stack(seen, 1)
far, near, root = distances[:, 1], distances[:, 0], len(distances) ** 0.5
'''

PRODUCT = '''
coin, total = torch.Generator().manual_seed(7), torch.zeros(400, 2, dtype=F64)
frame = torch.eye(2, dtype=F64).expand(400, 2, 2)
for n in range(230):
    frame, R = torch.linalg.qr(matrices[torch.randint(2, (400,), generator=coin)] @ frame)
    if n >= 30:
        total += R.diagonal(dim1=-2, dim2=-1).abs().log()
lam = total / 200
'''

WORD = '''
S, coin = 400, torch.Generator().manual_seed(5)
word = layers[torch.randint(2, (90, S), generator=coin)]
w, lengths = torch.ones(S, 2, 1, dtype=F64), {}
for n in range(90, 0, -1):
    lengths[n] = w.norm(dim=(1, 2)).log()
    w = word[n - 1] @ w
v = w / w.norm(dim=(1, 2), keepdim=True)
grown = w.norm(dim=(1, 2)).log()
functional = lambda A, v: float(torch.log(v @ torch.linalg.solve(A, v)))
'''

WRONG = {
    "open-part2": {
        "q1": [
            ("exchanges the two orders", '''
forward, backward = [0.0], [0.0]
for n in range(12):
    backward.append(shrink * backward[-1] + float(shifts[n]))
    forward.append(forward[-1] + shrink**n * float(shifts[n]))
settled = math.ceil(math.log(1e-3) / math.log(shrink))
'''),
            ("promises from the size of the next step alone, and leaves out the start", '''
forward, backward = [], []
x = z = 0.0
for n in range(12):
    x, z = shrink * x + float(shifts[n]), z + shrink**n * float(shifts[n])
    forward.append(x)
    backward.append(z)
settled = math.ceil(math.log(1e-3 / (1 - shrink)) / math.log(shrink))
'''),
        ],
        "q2": [
            ("one network's entries for all networks", '''
generator, x, seen = torch.Generator().manual_seed(12), torch.zeros(4000, 3, dtype=F64), []
for n in range(1, 201):
    A = (torch.rand(3, 3, generator=generator, dtype=F64) < chance).double()
    x = (A + x[:, None, :]).amax(-1)
    if n in (100, 200):
        seen.append(x.amax(-1))
distances = torch.stack(seen, 1)
far, near, root = distances[:, 1], distances[:, 0], len(distances) ** 0.5
rate, rate_se = float(far.mean()) / 200, float(far.std()) / 200 / root
slope, slope_se = float((far - near).mean()) / 100, float((far - near).std()) / 100 / root
'''),
            ("combines the two errors as if the depths were independent", CLIMB + '''
rate, rate_se = float(far.mean()) / 200, float(far.std()) / 200 / root
slope, slope_se = float((far - near).mean()) / 100, float((far.var() + near.var()).sqrt()) / 100 / root
'''),
            ("the deviation instead of the standard error", CLIMB + '''
rate, rate_se = float(far.mean()) / 200, float(far.std()) / 200
slope, slope_se = float((far - near).mean()) / 100, float((far - near).std()) / 100
'''),
            ("divides the difference by the larger depth", CLIMB + '''
rate, rate_se = float(far.mean()) / 200, float(far.std()) / 200 / root
slope, slope_se = float((far - near).mean()) / 200, float((far - near).std()) / 200 / root
'''),
            ("the same entries in every layer", '''
generator, x, seen = torch.Generator().manual_seed(12), torch.zeros(4000, 3, dtype=F64), []
A = (torch.rand(4000, 3, 3, generator=generator, dtype=F64) < chance).double()
for n in range(1, 201):
    x = (A + x[:, None, :]).amax(-1)
    if n in (100, 200):
        seen.append(x.amax(-1))
distances = torch.stack(seen, 1)
far, near, root = distances[:, 1], distances[:, 0], len(distances) ** 0.5
rate, rate_se = float(far.mean()) / 200, float(far.std()) / 200 / root
slope, slope_se = float((far - near).mean()) / 100, float((far - near).std()) / 100 / root
'''),
        ],
        "q3": [
            ("forgets that all units are level when none climbs", '''
def exact_drift(N, p):
    chain, climb = np.zeros((N, N)), np.zeros(N)
    for k in range(1, N + 1):
        up = 1 - (1 - p) ** k
        for new in range(N + 1):
            chain[k - 1, (new or k) - 1] += math.comb(N, new) * up**new * (1 - up) ** (N - new)
        climb[k - 1] = 1 - (1 - up) ** N
    law = np.linalg.lstsq(np.vstack([chain.T - np.eye(N), np.ones(N)]), np.append(np.zeros(N), 1), rcond=None)[0]
    return float(law @ climb)

off, excess = (slope - exact_drift(3, chance)) / slope_se, (rate - exact_drift(3, chance)) / rate_se
'''),
            ("the first step for every step", '''
def exact_drift(N, p):
    return 1 - (1 - p) ** (N * N)

off, excess = (slope - exact_drift(3, chance)) / slope_se, (rate - exact_drift(3, chance)) / rate_se
'''),
            ("the formula for two units at every width", '''
def exact_drift(N, p):
    return p if N == 1 else dl.ergodic.maxplus_drift(p)

off, excess = (slope - exact_drift(3, chance)) / slope_se, (rate - exact_drift(3, chance)) / rate_se
'''),
            ("measures the distance in the wrong errors", '''
def exact_drift(N, p):
    k = np.arange(1, N + 1)
    up = 1 - (1 - p) ** k
    chain = np.array([[math.comb(N, b) * u**b * (1 - u) ** (N - b) for b in k] for u in up])
    chain[:, -1] += (1 - up) ** N
    law = np.full(N, 1 / N)
    for _ in range(5000):
        law = law @ chain
    return float(law @ (1 - (1 - up) ** N))

off, excess = (slope - exact_drift(3, chance)) / rate_se, (rate - exact_drift(3, chance)) / slope_se
'''),
        ],
        "q4": [
            ("singular values of the plain product", '''
coin, P = torch.Generator().manual_seed(7), torch.eye(2, dtype=F64).expand(400, 2, 2)
for n in range(200):
    P = matrices[torch.randint(2, (400,), generator=coin)] @ P
lam = torch.linalg.svdvals(P).log() / 200
exponents, exponents_se = lam.mean(0), lam.std(0) / 20
gap, gap_se = float((lam[:, 1] - lam[:, 0]).mean()), float((lam[:, 1] - lam[:, 0]).std()) / 20
'''),
            ("the root of the sum of squares for the error of the gap", PRODUCT + '''
exponents, exponents_se = lam.mean(0), lam.std(0) / 20
gap, gap_se = float(exponents[1] - exponents[0]), float(exponents_se.square().sum().sqrt())
'''),
            ("divides by all 230 factors", PRODUCT + '''
lam = lam * 200 / 230
exponents, exponents_se = lam.mean(0), lam.std(0) / 20
gap, gap_se = float((lam[:, 1] - lam[:, 0]).mean()), float((lam[:, 1] - lam[:, 0]).std()) / 20
'''),
            ("the frame is never replaced by Q", '''
coin, total = torch.Generator().manual_seed(7), torch.zeros(400, 2, dtype=F64)
for n in range(200):
    R = torch.linalg.qr(matrices[torch.randint(2, (400,), generator=coin)]).R
    total += R.diagonal(dim1=-2, dim2=-1).abs().log()
lam = total / 200
exponents, exponents_se = lam.mean(0), lam.std(0) / 20
gap, gap_se = float((lam[:, 1] - lam[:, 0]).mean()), float((lam[:, 1] - lam[:, 0]).std()) / 20
'''),
        ],
        "q5": [
            ("computes the own functional from the matrix, and rounding wins", WORD + '''
u, kept = torch.eye(2, dtype=F64).expand(S, 2, 2), {}
for n in range(1, 61):
    u = u @ word[n - 1]
    A = u @ u.mT
    inverse = torch.stack([torch.stack([A[:, 1, 1], -A[:, 0, 1]], -1), torch.stack([-A[:, 1, 0], A[:, 0, 0]], -1)], -2)
    value = lambda v: -(v.mT @ inverse @ v)[:, 0, 0].abs().clamp(min=1e-300).log()
    kept[n] = 2 * torch.linalg.matrix_norm(u, 2).log(), value(v), value(v.roll(1, 0))
distance, seen, foreign = (torch.stack([kept[n][k] for n in (30, 60)], 1) for k in range(3))
'''),
            ("the logarithm of the norm of u(n) without the square", WORD + '''
u, strange, kept = torch.eye(2, dtype=F64).expand(S, 2, 2), v.roll(1, 0), {}
for n in range(1, 61):
    u, strange = u @ word[n - 1], torch.linalg.solve(word[n - 1], strange)
    kept[n] = torch.linalg.matrix_norm(u, 2).log(), grown - lengths[n], -strange.norm(dim=(1, 2)).log()
distance, seen, foreign = (torch.stack([kept[n][k] for n in (30, 60)], 1) for k in range(3))
'''),
            ("forward orbits", WORD + '''
u, kept = torch.eye(2, dtype=F64).expand(S, 2, 2), {}
for n in range(1, 61):
    u = word[n - 1] @ u
    inverse = torch.stack([torch.stack([u[:, 1, 1], -u[:, 0, 1]], -1), torch.stack([-u[:, 1, 0], u[:, 0, 0]], -1)], -2)
    value = lambda v: -2 * (inverse @ v).norm(dim=(1, 2)).log()
    kept[n] = 2 * torch.linalg.matrix_norm(u, 2).log(), value(v), value(v.roll(1, 0))
distance, seen, foreign = (torch.stack([kept[n][k] for n in (30, 60)], 1) for k in range(3))
'''),
            ("the functional with the sign of a linear one", '''
functional = lambda A, v: float(torch.log(v @ A @ v))
distance = seen = foreign = ...
'''),
        ],
        "q6": [
            ("one layer too early, and a mean of eigenvalues", '''
k = 1
guarantee = math.log(dl.metrics.birkhoff(average))
true_rate = float(torch.linalg.eigvals(average).abs().sort().values[-1].log())
measured = math.log(float(dl.metrics.hilbert(*inputs))) / 40
gives_away = 1.0
'''),
            ("forgets to divide by the number of layers of the block", '''
k = next(n for n in range(1, 20) if (torch.linalg.matrix_power(average, n) > 0).all())
guarantee = math.log(dl.metrics.birkhoff(torch.linalg.matrix_power(average, k)))
true_rate = float(torch.linalg.eigvals(average).abs().sort().values[-2].log())
at = {n: float(dl.metrics.hilbert(*(inputs @ torch.linalg.matrix_power(average, n).T)).log()) for n in (20, 40)}
measured = (at[40] - at[20]) / 20
gives_away = guarantee / true_rate
'''),
            ("multiplies from the wrong side", '''
k = next(n for n in range(1, 20) if (torch.linalg.matrix_power(average, n) > 0).all())
guarantee = math.log(dl.metrics.birkhoff(torch.linalg.matrix_power(average, k))) / k
true_rate = float(torch.linalg.eigvals(average).abs().sort().values[-2])
at = {n: float(dl.metrics.hilbert(*(inputs @ torch.linalg.matrix_power(average, n))).log()) for n in (20, 40)}
measured = at[40] / 40
gives_away = math.exp(true_rate) / guarantee
'''),
        ],
    },
    "graded-part2": {
        "q1": [
            ("the logarithm of the mean, and a variance without the mean", """
contraction = math.log(sum(gains) / 3)
mean = sum(shifts) / 3 / (1 - sum(gains) / 3)
variance = (np.mean(np.square(shifts)) - np.mean(shifts) ** 2) / (1 - np.mean(np.square(gains)))
tail = 1.0
"""),
            ("the mean of the three fixed points", """
contraction = sum(map(math.log, gains))
mean = float(np.mean([b / (1 - a) for a, b in zip(gains, shifts)]))
variance = float(np.var([b / (1 - a) for a, b in zip(gains, shifts)]))
tail = 0.0
"""),
        ],
        "q2": [
            ("the rate as the slope, and wrong errors for both", """
h, x, kept = torch.Generator().manual_seed(3), torch.zeros(3000, 3, dtype=F64), []
for n in range(1, 201):
    x = (times + delay * torch.rand(3000, 3, 3, generator=h, dtype=F64) + x[:, None]).amax(-1)
    if n in (100, 200):
        kept.append(x.amax(-1))
clock = torch.stack(kept, 1)
upper, upper_se = float(clock[:, 1].mean()) / 200, float(clock[:, 1].std()) / 200
slope, slope_se = upper, float((clock[:, 0].var() + clock[:, 1].var()).sqrt()) / 100 / 3000**0.5
lower = float((times + delay / 2).diagonal().max())
"""),
            ("delays are drawn once for the whole simulation", """
h, x, kept = torch.Generator().manual_seed(3), torch.zeros(3000, 3, dtype=F64), []
fixed_delays = delay * torch.rand(3000, 3, 3, generator=h, dtype=F64)
for n in range(1, 201):
    x = (times + fixed_delays + x[:, None]).amax(-1)
    if n in (100, 200):
        kept.append(x.amax(-1))
clock = torch.stack(kept, 1)
change = (clock[:, 1] - clock[:, 0]) / 100
slope, slope_se = float(change.mean()), float(change.std()) / 3000**0.5
upper, upper_se = float(clock[:, 1].mean()) / 200, float(clock[:, 1].std()) / 200 / 3000**0.5
lower = float(times.max() + delay / 2)
"""),
            ("waits for the first train instead of the last", """
h, x, kept = torch.Generator().manual_seed(3), torch.zeros(3000, 3, dtype=F64), []
for n in range(1, 201):
    x = (times + delay * torch.rand(3000, 3, 3, generator=h, dtype=F64) + x[:, None]).amin(-1)
    if n in (100, 200):
        kept.append(x.amax(-1))
clock = torch.stack(kept, 1)
change = (clock[:, 1] - clock[:, 0]) / 100
slope, slope_se = float(change.mean()), float(change.std()) / 3000**0.5
upper, upper_se = float(clock[:, 1].mean()) / 200, float(clock[:, 1].std()) / 200 / 3000**0.5
lower = float(times.mean())
"""),
        ],
        "q3": [
            ("He's scale, corrected for the factor, and mean square as the target", """
std = factor ** (1 / depth) * math.sqrt(2 / (1 + leak**2))
spread = math.sqrt(dl.ergodic.lyapunov_exponent(dl.Dense(width, "leaky_relu", weight_std=1.0, slope=leak)).variance) * depth
predicted = math.erf(math.log(10) / spread)
networks, share, share_se, mean_square = 4000, 0.5, 0.5, factor**2
"""),
            ("the scale that keeps norms, without the factor", """
std = dl.moments.lyapunov_weight_std(width, "leaky_relu", leak)
spread = math.sqrt(dl.ergodic.lyapunov_exponent(dl.Dense(width, "leaky_relu", weight_std=1.0, slope=leak)).variance * depth)
predicted = math.erf(math.log(10) / spread / 2**0.5)
networks = 4000
layer, x0 = dl.Dense(width, "leaky_relu", weight_std=std, slope=leak), torch.ones(1, width, dtype=F64)
run = dl.simulate(layer, x0, depth, ["log_norm"], record=[0, depth], samples=networks, seed=2, progress=False).log_norm.squeeze("input")
share = float((abs(run[:, 1] - run[:, 0] - math.log(factor)) <= math.log(10)).mean())
share_se = math.sqrt(share * (1 - share) / networks)
mean_square = (std**2 * (1 + leak**2) / 2) ** depth
"""),
        ],
        "q4": [
            ("forgets the base point, and takes the larger growth as the drift", """
def view_thompson(x):
    u = x.log()
    return torch.maximum(math.log(alpha) - u[..., 0], u[..., 1] - math.log(beta))

def view_hilbert(x):
    u = x.log()
    return u[..., 1] - u[..., 0] + math.log(alpha) - math.log(beta)

drifts = [float(growth.max()), float(growth.abs().max())]
seen = drifts
"""),
            ("signs the wrong way round", """
def view_thompson(x):
    u = x.log()
    return torch.maximum(u[..., 0] - math.log(alpha), math.log(beta) - u[..., 1]) - max(-math.log(alpha), math.log(beta))

def view_hilbert(x):
    u = x.log()
    return u[..., 0] - u[..., 1]

drifts = [float(growth.abs().max()), float(growth.max() - growth.min())]
seen = [max(-float(growth[0]), float(growth[1])), float(growth[1] - growth[0])]
"""),
            ("only one coordinate counts", """
def view_thompson(x):
    return -x[..., 0].log()

def view_hilbert(x):
    return x[..., 2].log() - x[..., 0].log()

drifts = [float(growth.sum().abs()), float(growth.abs().sum())]
seen = [float(growth[0]), float(growth[0] - growth[2])]
"""),
        ],
        "q5": [
            ("the coarse bound, and a derivative without logarithms", """
rows = mixing.sum(1)
kappa = float((rows / (rows + offset)).max())
fixed = torch.full((4,), 0.5, dtype=F64)
for n in range(10):
    fixed = network(fixed)
true_rate = float(torch.linalg.matrix_norm(mixing, 2))
promised = math.ceil(math.log(1e-8) / math.log(kappa))
needed = promised
"""),
            ("the supremum at the end of the interval only, and counts one layer too few", """
rows = mixing.sum(1)
kappa = float((rows / (torch.sinh(rows + offset) * torch.cosh(rows + offset))).max())
fixed = two[0]
true_rate = math.log(kappa)
promised = math.ceil(math.log(1e-8 / float(dl.metrics.thompson(*two))) / math.log(kappa))
runs, needed = two, -1
while float(dl.metrics.thompson(*runs)) > 1e-8:
    runs, needed = network(runs), needed + 1
"""),
        ],
    },
}

RIGHT: dict[str, dict[str, str]] = {
    "graded-part2": {
        "q1": """
from scipy.optimize import brentq
a, b = np.array(gains), np.array(shifts)
contraction = float(np.log(a).mean())
mean = float(b.mean() / (1 - a.mean()))
variance = float((b**2).mean() + 2 * (a * b).mean() * mean) / (1 - float((a**2).mean())) - mean**2
tail = brentq(lambda k: float((a**k).mean()) - 1, 0.1, 200)
""",
        "q2": """
h, x, kept = torch.Generator().manual_seed(3), torch.zeros(3000, 3, dtype=F64), []
for n in range(1, 201):
    x = dl.layers.positive.MaxPlusMap(times + delay * torch.rand(3000, 3, 3, generator=h, dtype=F64))(x[:, None])[:, 0]
    if n in (100, 200):
        kept.append(x.amax(-1))
clock = torch.stack(kept, 1)
change = (clock[:, 1] - clock[:, 0]) / 100
slope, slope_se = float(change.mean()), float(change.std()) / 3000**0.5
upper, upper_se = float(clock[:, 1].mean()) / 200, float(clock[:, 1].std()) / 200 / 3000**0.5
mean_times, x, ends = times + delay / 2, torch.zeros(3, dtype=F64), []
for n in range(1206):
    x = dl.layers.positive.MaxPlusMap(mean_times)(x)
    ends.append(float(x.max()))
lower = (ends[1205] - ends[5]) / 1200
""",
        "q3": """
unit = dl.ergodic.lyapunov_exponent(dl.Dense(width, "leaky_relu", weight_std=1.0, slope=leak))
std = math.exp(math.log(factor) / depth - unit.value)
spread = math.sqrt(unit.variance * depth)
predicted = math.erf(math.log(10) / spread / 2**0.5)
networks = 6000
layer, x0 = dl.Dense(width, "leaky_relu", weight_std=std, slope=leak), torch.ones(1, width, dtype=F64)
run = dl.simulate(layer, x0, depth, ["log_norm"], record=[0, depth], samples=networks, seed=2, progress=False).log_norm.squeeze("input")
share = float((abs(run[:, 1] - run[:, 0] - math.log(factor)) <= math.log(10)).mean())
share_se = math.sqrt(share * (1 - share) / networks)
mean_square = (std**2 * (1 + leak**2) / 2) ** depth
""",
        "q4": """
top = max(math.log(alpha), -math.log(beta))
along = torch.tensor([1.0, -1.0, 0.0], dtype=F64)
view_thompson = dl.functionals.thompson(along, offset=torch.tensor([top - math.log(alpha), top + math.log(beta), 0.0], dtype=F64))
view_hilbert = dl.functionals.hilbert(along)
drifts = [float(growth.abs().max()), float(growth.max() - growth.min())]
ahead = lambda view, n: float(view(torch.exp(n * growth)))
seen = [(ahead(view, 200) - ahead(view, 300)) / 100 for view in (view_thompson, view_hilbert)]
""",
        "q5": """
s = torch.linspace(1e-4, 1, 4001, dtype=F64) * mixing.sum(1, keepdim=True)
u = s + offset[:, None]
kappa = float((s * (1 - u.tanh() ** 2) / u.tanh()).max())
fixed = torch.full((4,), 0.5, dtype=F64)
for n in range(3000):
    fixed = network(fixed)
true_rate = math.log(float(torch.linalg.eigvals(torch.autograd.functional.jacobian(lambda u: network(u.exp()).log(), fixed.log())).abs().max()))
promised = math.ceil(math.log(1e-8 / float(dl.metrics.thompson(*two))) / math.log(kappa))
runs, needed = two, 0
while float(dl.metrics.thompson(*runs)) > 1e-8:
    runs, needed = network(runs), needed + 1
""",
    },
}

"""Wrong answers to the problem sets of Part VI: each must lose marks, and be told why."""

from __future__ import annotations

_ROUND = '''
def my_round(W, signs, M, X, y, lr, keep, local_steps):
    moved = torch.zeros_like(W)
    for mask in M.to(W):
        scaled, w = mask * signs / ({factor} * math.sqrt(len(W))), W.clone()
        for _ in range(local_steps):
            Z = X @ w.T
            residual = torch.relu(Z) @ scaled - y
            w = w - lr * ((Z > 0) * residual[:, None] * scaled).T @ X{more}
        moved += mask[:, None] * (w - W)
    return {end}
'''

_BIAS = '''
def features(width):
    W, signs = my_start(width)
    return (signs / math.sqrt(width))[:, None, None] * (X @ W.T > 0).T[:, :, None] * X

def bias(J, y, keep):
    {body}

def relative(width):
    return float((bias(features(width), y, keep3) / y.norm()).square().sum()){power}

width = 32
while relative(width) > tolerance and width < 5000:
    width *= 2
width_needed = width
'''

_RIDGE = """spread = {spread}
    P = (J @ torch.linalg.pinv(J)).sum(0)
    return spread * torch.linalg.solve(P + spread * torch.eye(len(y), dtype=y.dtype), y)"""

_FLOOR = '''
def floor_of(h, C, S, keep, lr, local_steps):
    A = {A}
    return float({value})

h, U = torch.linalg.eigh(masking.ntk(X))
C = (U.T @ masking.output_covariance(X) @ U).diagonal()
runs = masking.train(X, y, 600, **setting, rounds=200, seed=range(8), progress=False)
found = masking.floor(runs)
{end}
'''

OPEN = {
    "q1": [
        ("takes the variance of a mask for that of M/ξ", '''
parts = signs1 * torch.relu(W1 @ X[0]) / math.sqrt(200)
exact = float(keep1 * (1 - keep1) * parts.square().sum())
drawn, drawn_se = exact, 0.01 * exact
limit = keep1 * (1 - keep1) / 2
'''),
        ("lets the noise vanish with the width, and gives the spread for the standard error", '''
parts = signs1 * torch.relu(W1 @ X[0]) / math.sqrt(200)
masks = torch.rand(20_000, 200, generator=cw.generator(student, "masks"), dtype=torch.float64) < keep1
outputs = (masks.double() @ parts) / keep1
exact = float((1 - keep1) / keep1 * parts.sum().square())
drawn, drawn_se = float(outputs.var()), float(outputs.std())
limit = 0.0
'''),
    ],
    "q2": [
        ("forgets the factor 1/ξ", _ROUND.format(factor="1", more="", end="W + moved / M.sum(0).clamp(min=1)[:, None]")),
        ("divides by the number of masks instead of those that hold the neuron", _ROUND.format(factor="keep", more="", end="W + moved / len(M)")),
        ("sets neurons in no mask to zero", _ROUND.format(factor="keep", more="", end="(W + moved / M.sum(0).clamp(min=1)[:, None]) * (M.sum(0) > 0)[:, None]")),
        ("takes the mean over the samples", _ROUND.format(factor="keep", more=" / len(y)", end="W + moved / M.sum(0).clamp(min=1)[:, None]")),
        ("takes one step whatever the number of local steps",
         _ROUND.replace("range(local_steps)", "range(1)").format(factor="keep", more="", end="W + moved / M.sum(0).clamp(min=1)[:, None]")),
    ],
    "q3": [
        ("takes ξ/(1 - ξ) for the strength of the ridge", _BIAS.format(body=_RIDGE.format(spread="keep / (1 - keep) if keep < 1 else 1e9"), power="")),
        ("adds the ridge to the kernel instead of the sum of projections", _BIAS.format(body="""spread = (1 - keep) / keep
    H = (J @ J.mT).sum(0)
    return spread * torch.linalg.solve(H + spread * torch.eye(len(y), dtype=y.dtype), y)""", power="")),
        ("inverts where the features do not span", _BIAS.format(body="""spread = (1 - keep) / keep
    P = (J @ torch.linalg.solve(J.mT @ J + 1e-3 * torch.eye(J.shape[2], dtype=J.dtype), J.mT)).sum(0)
    return spread * torch.linalg.solve(P + spread * torch.eye(len(y), dtype=y.dtype), y)""", power="")),
        ("compares the norm, not its square, with the tolerance", _BIAS.format(body=_RIDGE.format(spread="(1 - keep) / keep"), power=" ** 0.5")),
    ],
    "q4": [
        ("takes the stability bound for the best step", '''
best_lr = masking.largest_lr(X, masks4, 1, keep4) * 0.999
best_factor = float(np.abs(1 - masking.contraction(X, masks4, 1, keep4, best_lr)).max())
rounds_needed = math.ceil(math.log(1000) / -math.log(best_factor))
'''),
        ("forgets masks: the step of plain gradient descent", '''
h = torch.linalg.eigvalsh(masking.ntk(X))
best_lr = float(2 / (h[0] + h[-1])) * keep4 * 0.5
best_factor = float(1 - h[0] / h[-1])
rounds_needed = math.ceil(math.log(1000) / (2 * -math.log(best_factor)))
'''),
        ("one over the largest eigenvalue", '''
h = torch.linalg.eigvalsh(masking.ntk(X))
best_lr = float(keep4 / (1 - (1 - keep4) ** masks4) / h[-1])
best_factor = float(1 - h[0] / h[-1])
rounds_needed = math.log(1000) / -math.log(best_factor)
'''),
    ],
    "q5": [
        ("leaves out the share of updated neurons, and takes rounds for independent",
         _FLOOR.format(A="1 - (1 - lr * h / keep) ** local_steps", value="(1 - keep) / keep / S * (C * A / (2 - A)).sum()",
                       end='last = runs.error.isel(seed=0).values[134:]\n'
                           'measured, measured_se = float(last.mean()), float(last.std() / len(last))\n'
                           'explained = floor_of(h, C, setting["subnetworks"], setting["keep"], setting["lr"], 1)')),
        ("takes the noise injected in a round for the stationary noise",
         _FLOOR.format(A="(1 - (1 - keep) ** S) * (1 - (1 - lr * h / keep) ** local_steps)", value="(1 - keep) / keep / S * (C * A**2).sum()",
                       end='measured, measured_se = float(runs.error[:, -1].mean()), float(runs.error.std())\n'
                           'explained = floor_of(h, C, setting["subnetworks"], setting["keep"], setting["lr"], 1) * found.power_ratio')),
        ("averages over all rounds, the fall included",
         _FLOOR.format(A="(1 - (1 - keep) ** S) * (1 - (1 - lr * h / keep) ** local_steps)", value="keep * (1 - keep) / S * (C * A / (2 - A)).sum()",
                       end='measured, measured_se = float(runs.error.mean()), float(runs.error.mean("round").std() / 8**0.5)\n'
                           'explained = floor_of(h, C, setting["subnetworks"], setting["keep"], setting["lr"], 1) / found.power_ratio')),
    ],
    "q6": [
        ("hands in the coins", '''
def my_masks(round, generator):
    return coins(round, generator)
'''),
        ("keeps one partition for all rounds", '''
def my_masks(round, generator):
    first = torch.arange(400) < 200
    return torch.stack([first, ~first])
'''),
        ("alternates between the two halves of one partition", '''
def my_masks(round, generator):
    first = (torch.arange(400) < 200) ^ (round % 2 == 1)
    return torch.stack([first, ~first])
'''),
        ("keeps more than half", '''
def my_masks(round, generator):
    return torch.rand(2, 400, generator=generator) < 0.9
'''),
        ("draws equal sizes, but the two masks independently", '''
def my_masks(round, generator):
    return torch.stack([torch.randperm(400, generator=generator) < 200 for _ in range(2)])
'''),
    ],
}

GRADED = {
    "q1": [
        ("adds the shares up", '''
def share(keeps):
    return min(1.0, sum(keeps))

def untouched(keeps, rounds):
    return (1 - share(keeps)) ** rounds
'''),
        ("takes the mean share for all masks", '''
def share(keeps):
    return 1 - (1 - sum(keeps) / len(keeps)) ** len(keeps)

def untouched(keeps, rounds):
    return 1 - share(keeps) ** rounds
'''),
    ],
    "q2": [
        ("takes the masks for independent, whatever the law", '''
def factor(law, S, keep):
    return (1 - keep) / keep / S
'''),
        ("takes the pair for disjoint where it overlaps, and the ring for silent", '''
def factor(law, S, keep):
    if law == "coins":
        return (1 - keep) / keep / S
    return ((1 - keep) / keep - 1) / S if law == "pairs" else 0.0
'''),
        ("forgets the division by ξ", '''
def factor(law, S, keep):
    if law == "coins":
        return keep * (1 - keep) / S
    if law == "pairs":
        return (keep * (1 - keep) + max(0, 2 * keep - 1) - keep**2) / S
    rest = S * keep - math.floor(S * keep)
    return rest * (1 - rest) / S**2
'''),
    ],
    "q3": [
        ("draws coins", '''
def ring(S, keep, m, generator):
    return torch.rand(S, m, generator=generator) < keep
'''),
        ("uses one number for all neurons", '''
def ring(S, keep, m, generator):
    U = torch.rand(1, 1, generator=generator, dtype=torch.float64)
    return ((U + torch.arange(S)[:, None] / S) % 1 < keep).expand(S, m)
'''),
        ("forgets to go round", '''
def ring(S, keep, m, generator):
    U = torch.rand(1, m, generator=generator, dtype=torch.float64)
    return U + torch.arange(S)[:, None] / S < keep
'''),
        ("draws with a seed of its own, the same in every round", '''
def ring(S, keep, m, generator):
    U = torch.rand(1, m, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (U + torch.arange(S)[:, None] / S) % 1 < keep
'''),
    ],
    "q4": [
        ("takes the rounds for independent", '''
def averaged(A, sigma2, K):
    return sigma2 * A / (2 - A) / K
'''),
        ("takes the limit of many rounds", '''
def averaged(A, sigma2, K):
    return sigma2 / K
'''),
        ("counts each correlation once", '''
def averaged(A, sigma2, K):
    r = 1 - A
    j = np.arange(1, K)
    return sigma2 * A / (2 - A) * (K + ((K - j) * r**j).sum()) / K**2
'''),
    ],
    "q5": [
        ("waits for the slowest mode alone, as if it were the whole error", '''
def rounds_to_floor(A, B, F, margin):
    k = int(A.argmin())
    gap = (B[k] - F[k]) / (margin * F[k])
    return max(0, math.ceil(float(gap.log() / (-2 * (1 - A[k]).abs().log())))) if gap > 0 else 0
'''),
        ("forgets the square", '''
def rounds_to_floor(A, B, F, margin):
    r, k = (1 - A).abs(), 1
    small = lambda n: float((r**n * (B - F)).sum()) <= margin * float(F.sum())
    if small(0):
        return 0
    while not small(k):
        k *= 2
    low = k // 2
    while k - low > 1:
        low, k = (low, (low + k) // 2) if small((low + k) // 2) else ((low + k) // 2, k)
    return k
'''),
        ("gives up after a thousand rounds", '''
def rounds_to_floor(A, B, F, margin):
    for k in range(1000):
        left = (1 - A) ** (2 * k)
        if float((left * B + F * (1 - left)).sum()) <= (1 + margin) * float(F.sum()):
            return k
    return 1000
'''),
    ],
}

RIGHT = {"graded-part6": {
    "q1": '''
share = lambda keeps: 1 - math.prod(1 - k for k in keeps)
untouched = lambda keeps, rounds: (1 - share(keeps)) ** rounds
''',
    "q2": '''
def factor(law, S, keep):
    if law == "coins":
        return masking.mask_law("bernoulli", S, keep).spread / S
    if law == "pairs":
        return (1 / keep - 1 + max(0.0, 2 * keep - 1) / keep**2 - 1) / S
    rest = S * keep - math.floor(S * keep + 1e-12)
    return rest * (1 - rest) / (S * keep) ** 2
''',
    "q3": '''
def ring(S, keep, m, generator):
    U = torch.rand(1, m, generator=generator, dtype=torch.float64)
    return (U + torch.arange(S)[:, None] / S) % 1 < keep
''',
    "q4": '''
def averaged(A, sigma2, K):
    r = 1 - A
    j = np.arange(1, K)
    return sigma2 * A / (2 - A) * (K + 2 * ((K - j) * np.power(r, j)).sum()) / K**2
''',
    "q5": '''
def rounds_to_floor(A, B, F, margin):
    r, k = (1 - A).square(), 1
    small = lambda n: float((r**n * (B - F)).sum()) <= margin * float(F.sum())
    if small(0):
        return 0
    while not small(k):
        k *= 2
    low = k // 2
    while k - low > 1:
        low, k = (low, (low + k) // 2) if small((low + k) // 2) else ((low + k) // 2, k)
    return k
''',
}}
WRONG = {"open-part6": OPEN, "graded-part6": GRADED}

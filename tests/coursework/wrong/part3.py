"""Wrong answers to the problem sets of Part III, and right ones to the graded set through the package."""

from __future__ import annotations

CROSSING = '''
def crossing(depths, share, level):
    below = np.asarray(share) <= level
    if not below.any():
        return math.inf
    k = int(np.argmax(below))
    if k == 0:
        return float(depths[0])
    part = (share[k - 1] - level) / (share[k - 1] - share[k])
    return float(depths[k - 1] + part * (depths[k] - depths[k - 1]))
'''

Q4 = '''
powers = np.array({powers})
flat = 0.5 * math.log(dl.meanfield.fixed_point("tanh", tanh_layer.weight_std, tanh_layer.bias_std).chi)
deep = int(1.3 * max(powers) * math.log(10) / -flat)
two = dl.simulate(tanh_layer, pair, deep, ["log_distance"], record=range(deep + 1), samples=400, seed=seed + 2, progress=False)
family = dl.cutoff.family(dl.cutoff.survival(two, "log_distance", 10.0**-powers))
change = two.log_distance.isel(input=1).sel(depth=[20, deep]).diff("depth").values.ravel()
start = float(two.log_distance.isel(input=1, depth=0).mean())
rate = float(change.mean()) / (deep - 20), float(change.std(ddof=1)) / (deep - 20) / math.sqrt(change.size)
spread = float(change.var(ddof=1)) / (deep - 20)
expected_R = 1.349 * np.sqrt(spread / (-rate[0] * (start + powers * math.log(10))))
answer = "cut-off"
{more}
'''

WIDTH = '''
def width_needed(depth, factor, share, weight_std):
    def reached(n):
        step = dl.ergodic.lyapunov_exponent(dl.Dense(n, "relu", weight_std))
        mean, sd = {moments}
        return {inside} >= share
    low, high = 2, 4
    while not reached(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high

needed = {{name: width_needed(budget, 2.0, 0.9, name) for name in ("he", "lyapunov")}}
norms = dl.simulate(dl.Dense(needed["he"], "relu", "he"), torch.eye(1, needed["he"]), budget, ["log_norm"], record=[0, budget],
                    samples=1000, seed=seed + 5, progress=False).log_norm.isel(input=0)
inside = np.abs(norms.diff("depth").values) <= math.log(2)
kept = float(inside.mean()), {error}
'''
TWO_SIDED = "special.ndtr((math.log(factor) - mean) / sd) - special.ndtr((-math.log(factor) - mean) / sd)"
EXACT = "step.value * depth, math.sqrt(step.variance * depth)"
KEPT = "float(inside.std()) / math.sqrt(inside.size)"

MIXTURE = '''
def limit_R(p, slow, fast, high, low):
    {limit}

many = round(600 * gentle_share)
runs = [dl.simulate(layer, torch.eye(2, 16), 1000, ["log_distance"], samples=n, seed=seed + k, progress=False).log_distance
        for k, (layer, n) in enumerate([{kinds}])]
joint = xr.concat(runs, "sample").assign_coords(sample=range(600)).to_dataset(name="log_distance")
mixed = dl.cutoff.survival(joint, "log_distance", 1e-40)
answer5 = "{answer}"
'''
SPLIT = "(gentle, many), (harsh, 600 - many)"

WITH_COLLAPSE = '''
def spread(profiles):
    members = {k: xr.DataArray(curve, {"depth": x}, "depth") for k, (x, curve) in profiles.items()}
    return dl.cutoff.collapse(members, along="member", grid=np.linspace(-1, 1, 41)).spread
'''

FLUCTUATION = '''
def fluctuation(layer, depth, samples, seed):
    run = dl.simulate(layer, torch.eye(1, layer.width), depth, ["log_norm"], record=[0, depth], samples=samples, seed=seed, progress=False)
    x = run.log_norm.isel(input=0).diff("depth").values.ravel()
    return layer.width * {value} / depth, layer.width * {error} / depth

table = {{}}
for name in ("relu", "relu orthogonal", "leaky", "leaky orthogonal"):
    layer = dl.Dense(width, "leaky_relu" if "leaky" in name else "relu", "he", slope=slope if "leaky" in name else None,
                     weights="orthogonal" if "orthogonal" in name else "gaussian")
    table[name] = fluctuation(layer, width, 2000, seed)
'''

USABLE = '''
def usable_depth(told, depths, share):
    profile = xr.DataArray(told, {{"depth": depths}}, ("sample", "depth"))
    level = {level}
    found = dl.cutoff.locate(profile, levels=(level + 0.02, level, level - 0.02))
    return found.depth, {error}

usable = {{}}
for k, (name, layer) in enumerate(candidates.items()):
    run = dl.simulate(layer, pair, 320, ["log_angle"], record=range(321), samples=400, seed=seed + k, progress=False)
    usable[name] = usable_depth(run.log_angle.isel(input=1).transpose("sample", "depth").values > math.log(epsilon), np.arange(321), 0.9)
ranked = sorted(usable, key=lambda name: -usable[name][0])
best = {best}
'''
LEADER = "ranked[0] if usable[ranked[0]][0] - usable[ranked[1]][0] > 4 * math.hypot(usable[ranked[0]][1], usable[ranked[1]][1]) else 'undecided'"

WRONG = {
    "open-part3": {
        "q1": [
            ("takes the recorded depth, without interpolation", '''
def crossing(depths, share, level):
    below = np.asarray(share) <= level
    return float(depths[np.argmax(below)]) if below.any() else math.inf

my_R = (crossing(depths, share, 0.25) - crossing(depths, share, 0.75)) / crossing(depths, share, 0.5)
'''),
            ("interpolates at the last crossing", '''
def crossing(depths, share, level):
    above = np.flatnonzero(np.asarray(share) > level)
    k = int(above[-1]) + 1
    if k == len(depths):
        return math.inf
    return float(depths[k - 1] + (share[k - 1] - level) / (share[k - 1] - share[k]) * (depths[k] - depths[k - 1]))

my_R = (crossing(depths, share, 0.25) - crossing(depths, share, 0.75)) / crossing(depths, share, 0.5)
'''),
            ("uses np.interp on a profile that is not monotone", '''
def crossing(depths, share, level):
    return float(np.interp(-level, -np.asarray(share), depths))

my_R = (crossing(depths, share, 0.25) - crossing(depths, share, 0.75)) / crossing(depths, share, 0.5)
'''),
            ("takes the index for the depth", '''
def crossing(depths, share, level):
    below = np.asarray(share) <= level
    if not below.any():
        return math.inf
    k = int(np.argmax(below))
    return k - 1 + (share[k - 1] - level) / (share[k - 1] - share[k])

my_R = (crossing(depths, share, 0.25) - crossing(depths, share, 0.75)) / crossing(depths, share, 0.5)
'''),
            ("R is the window in layers", CROSSING + '''
my_R = crossing(depths, share, 0.25) - crossing(depths, share, 0.75)
'''),
        ],
        "q2": [
            ("divides by the square root of the draws", '''
def error_of_R(told, depths, draws, generator):
    found = []
    for _ in range(draws):
        pick = torch.randint(len(told), (len(told),), generator=generator).numpy()
        high, half, low = (crossing(depths, told[pick].mean(0), level) for level in (0.75, 0.5, 0.25))
        found.append((low - high) / half)
    return float(np.std(found) / math.sqrt(draws))

my_R_se = error_of_R(told, depths, 400, cw.generator(student, "part3 q2"))
'''),
            ("draws without replacement", '''
def error_of_R(told, depths, draws, generator):
    found = []
    for _ in range(draws):
        pick = torch.randperm(len(told), generator=generator).numpy()
        high, half, low = (crossing(depths, told[pick].mean(0), level) for level in (0.75, 0.5, 0.25))
        found.append((low - high) / half)
    return float(np.std(found))

my_R_se = error_of_R(told, depths, 400, cw.generator(student, "part3 q2"))
'''),
            ("gives the error of the window", '''
def error_of_R(told, depths, draws, generator):
    found = []
    for _ in range(draws):
        pick = torch.randint(len(told), (len(told),), generator=generator).numpy()
        high, low = (crossing(depths, told[pick].mean(0), level) for level in (0.75, 0.25))
        found.append(low - high)
    return float(np.std(found))

my_R_se = error_of_R(told, depths, 400, cw.generator(student, "part3 q2"))
'''),
            ("always draws eighty networks", '''
def error_of_R(told, depths, draws, generator):
    found = []
    for _ in range(draws):
        pick = torch.randint(len(told), (80,), generator=generator).numpy()
        high, half, low = (crossing(depths, told[pick].mean(0), level) for level in (0.75, 0.5, 0.25))
        found.append((low - high) / half)
    return float(np.std(found))

my_R_se = error_of_R(told, depths, 400, cw.generator(student, "part3 q2"))
'''),
        ],
        "q3": [
            ("takes the log of the mean square", '''
def one_layer(width, slope, weight_std, samples, generator):
    h = weight_std / math.sqrt(width) * torch.randn(samples, width, generator=generator)
    x = torch.where(h > 0, h, slope * h).norm(dim=1)
    return 0.5 * math.log(float((x**2).mean())), float(x.log().std()) / math.sqrt(samples), float(x.log().var())

rate, rate_se, variance = one_layer(width, slope, weight_std, 40_000, cw.generator(student, "part3 q3"))
prediction = 12 * math.log(10) / -rate, 1.349 * math.sqrt(variance / (-rate * 12 * math.log(10)))
walk = dl.simulate(dl.Dense(width, "leaky_relu", weight_std, slope=slope), torch.eye(1, width), 400, ["log_norm"], samples=500, seed=seed, progress=False)
found = dl.cutoff.locate(dl.cutoff.survival(walk, "log_norm", 1e-12))
'''),
            ("reports the standard deviation as standard error", '''
def one_layer(width, slope, weight_std, samples, generator):
    h = weight_std / math.sqrt(width) * torch.randn(samples, width, generator=generator)
    step = torch.where(h > 0, h, slope * h).norm(dim=1).log()
    return float(step.mean()), float(step.std()), float(step.var())

rate, rate_se, variance = one_layer(width, slope, weight_std, 40_000, cw.generator(student, "part3 q3"))
prediction = 12 * math.log(10) / -rate, 1.349 * math.sqrt(variance / (-rate * 12 * math.log(10)))
found = ...
'''),
            ("forgets that the weights are divided by the width", '''
def one_layer(width, slope, weight_std, samples, generator):
    h = weight_std * torch.randn(samples, width, generator=generator)
    step = torch.where(h > 0, h, slope * h).norm(dim=1).log()
    return float(step.mean()), float(step.std()) / math.sqrt(samples), float(step.var())

rate, rate_se, variance = one_layer(width, slope, weight_std, 40_000, cw.generator(student, "part3 q3"))
prediction = 12 * math.log(10) / rate, 1.349 * math.sqrt(variance / (rate * 12 * math.log(10)))
found = ...
'''),
            ("predicts with decimal logarithms", '''
def one_layer(width, slope, weight_std, samples, generator):
    h = weight_std / math.sqrt(width) * torch.randn(samples, width, generator=generator)
    step = torch.where(h > 0, h, slope * h).norm(dim=1).log()
    return float(step.mean()), float(step.std()) / math.sqrt(samples), float(step.var())

rate, rate_se, variance = one_layer(width, slope, weight_std, 40_000, cw.generator(student, "part3 q3"))
prediction = 12 / -rate, 1.349 * math.sqrt(variance / (-rate * 12))
walk = dl.simulate(dl.Dense(width, "leaky_relu", weight_std, slope=slope), torch.eye(1, width), 400, ["log_norm"], samples=500, seed=seed, progress=False)
found = dl.cutoff.locate(dl.cutoff.survival(walk, "log_norm", 1e-12))
'''),
        ],
        "q4": [
            ("takes the rate of infinite width", Q4.format(powers="[3, 5, 8, 12, 18, 26, 40]", more="rate = flat, rate[1]")),
            ("a family of three precisions", Q4.format(powers="[3, 6, 9]", more="")),
            ("gives the spread of one network as the error of the rate", Q4.format(
                powers="[3, 5, 8, 12, 18, 26, 40]", more="rate = rate[0], float(change.std(ddof=1)) / (deep - 20)")),
            ("forgets the square root in R", Q4.format(
                powers="[3, 5, 8, 12, 18, 26, 40]", more="expected_R = 1.349 * spread / (-rate[0] * (start + powers * math.log(10)))")),
            ("judges by the eye", Q4.format(powers="[3, 5, 8, 12, 18, 26, 40]", more='answer = "no cut-off"')),
        ],
        "q5": [
            ("each half has a cut-off, so the whole has one", MIXTURE.format(limit="return 0.0", kinds=SPLIT, answer="cut-off")),
            ("averages the rates", MIXTURE.format(
                limit="mean = p * slow + (1 - p) * fast\n    return (1 / slow - 1 / fast) * mean", kinds=SPLIT, answer="no cut-off")),
            ("mixes the two kinds in equal parts", MIXTURE.format(
                limit="d = {x: 1 / slow if x < p else 1 / fast for x in (high, 0.5, low)}\n    return (d[low] - d[high]) / d[0.5]",
                kinds="(gentle, 300), (harsh, 300)", answer="no cut-off")),
            ("exchanges slow and fast", MIXTURE.format(
                limit="d = {x: 1 / fast if x < p else 1 / slow for x in (high, 0.5, low)}\n    return abs(d[low] - d[high]) / d[0.5]",
                kinds=SPLIT, answer="no cut-off")),
        ],
        "q6": [
            ("forgets the drift of the mean", WIDTH.format(moments="0.0, math.sqrt(step.variance * depth)", inside=TWO_SIDED, error=KEPT)),
            ("asks one side only", WIDTH.format(moments=EXACT, inside="special.ndtr((math.log(factor) - mean) / sd)", error=KEPT)),
            ("takes the variance for the standard deviation", WIDTH.format(moments="step.value * depth, step.variance * depth", inside=TWO_SIDED, error=KEPT)),
            ("gives the standard deviation of the indicator", WIDTH.format(moments=EXACT, inside=TWO_SIDED, error="float(inside.std())")),
        ],
    },
    "graded-part3": {
        "q1": [
            ("exchanges the levels", '''
def depth_at(level, rate, variance, L):
    return dl.cutoff.predict(None, log_threshold=-L, exponent=(-rate, variance)).quantile(1 - level)

skewness = 3.0
'''),
            ("takes the approximation of large L", '''
def depth_at(level, rate, variance, L):
    return L / rate - special.ndtri(level) * math.sqrt(variance * L / rate) / rate

skewness = 1.0
'''),
            ("inverts the ratio", '''
def depth_at(level, rate, variance, L):
    return dl.cutoff.predict(None, log_threshold=-L, exponent=(-rate, variance)).quantile(level)

skewness = (depth_at(0.5, walk_rate, walk_variance, walk_L) - depth_at(0.9, walk_rate, walk_variance, walk_L)) / (
    depth_at(0.1, walk_rate, walk_variance, walk_L) - depth_at(0.5, walk_rate, walk_variance, walk_L))
'''),
        ],
        "q2": [
            ("divides the depth by l(.5) only", '''
def spread(profiles):
    rows = []
    for x, curve in profiles.values():
        half = dl.cutoff.locate(xr.DataArray(curve, {"depth": x}, "depth")).depth
        rows.append(np.interp(half * (1 + np.linspace(-1, 1, 41)), x, curve))
    return float(np.ptp(np.array(rows), axis=0).max())

collapses = {name: spread(f) for name, f in families.items()}
has_cutoff = {name: not name.startswith("death") for name in families}
'''),
            ("takes a collapse for a cut-off", WITH_COLLAPSE + '''
collapses = {name: spread(f) for name, f in families.items()}
has_cutoff = {name: collapses[name] < 0.1 for name in families}
'''),
            ("compares with the mean of the members", WITH_COLLAPSE.replace(".spread", ".spread / 2") + '''
collapses = {name: spread(f) for name, f in families.items()}
has_cutoff = {name: not name.startswith("death") for name in families}
'''),
        ],
        "q3": [
            ("a falling R is a cut-off", '''
def judge(depth, R, R_se):
    return "cut-off" if R[-1] < R[0] else "no cut-off"
'''),
            ("never commits itself", '''
def judge(depth, R, R_se):
    return "undecided"
'''),
            ("a fall by three standard errors is a cut-off", '''
def judge(depth, R, R_se):
    if len(depth) < 4 or depth[-1] < 3 * depth[0]:
        return "undecided"
    fall, error = R[0] - R[-1], math.hypot(R_se[0], R_se[-1])
    return "cut-off" if fall > 3 * error else "no cut-off"
'''),
            ("does not look at the depth", '''
def judge(depth, R, R_se):
    slope = np.polyfit(np.log(depth), np.log(R), 1)[0]
    return "cut-off" if slope < -0.3 else "no cut-off" if slope > -0.05 else "undecided"
'''),
        ],
        "q4": [
            ("gives the error of a mean", FLUCTUATION.format(value="x.var(ddof=1)", error="x.std(ddof=1) / math.sqrt(samples)")),
            ("takes the standard deviation", FLUCTUATION.format(value="x.std(ddof=1)", error="x.std(ddof=1) / math.sqrt(2 * samples)")),
            ("takes the mean square, drift included", FLUCTUATION.format(value="(x**2).mean()", error="(x**2).mean() * math.sqrt(2 / samples)")),
        ],
        "q5": [
            ("half of the networks is enough", USABLE.format(level="0.5", error="found.depth_se", best=LEADER)),
            ("gives no honest error", USABLE.format(level="share", error="found.depth_se / math.sqrt(len(told))", best=LEADER)),
            ("always names a winner", USABLE.format(level="share", error="3 * found.depth_se", best="ranked[0]")),
            ("takes the mean depth of loss", '''
def usable_depth(told, depths, share):
    lost = told.sum(1)
    return float(lost.mean()), float(lost.std() / math.sqrt(len(lost)))

usable = {}
for k, (name, layer) in enumerate(candidates.items()):
    run = dl.simulate(layer, pair, 320, ["log_angle"], record=range(321), samples=400, seed=seed + k, progress=False)
    told = run.log_angle.isel(input=1).transpose("sample", "depth").values > math.log(epsilon)
    usable[name] = usable_depth(told, np.arange(321), 0.9)
best = max(usable, key=lambda name: usable[name][0])
'''),
        ],
    },
}

RIGHT = {
    "graded-part3": {
        "q1": '''
def depth_at(level, rate, variance, L):
    return dl.cutoff.predict(None, log_threshold=-L, exponent=(-rate, variance)).quantile(level)

own_walk = dl.cutoff.predict(None, log_threshold=-walk_L, exponent=(-walk_rate, walk_variance))
skewness = (own_walk.quantile(0.1) - own_walk.quantile(0.5)) / (own_walk.quantile(0.5) - own_walk.quantile(0.9))
''',
        "q2": WITH_COLLAPSE + '''
collapses = {name: spread(f) for name, f in families.items()}
arrays = {name: {k: xr.DataArray(c, {"depth": x}, "depth") for k, (x, c) in f.items()} for name, f in families.items()}
has_cutoff = {name: dl.cutoff.verdict(dl.cutoff.family(f, along="member")) == "cut-off" for name, f in arrays.items()}
''',
        "q3": '''
def judge(depth, R, R_se):
    return dl.cutoff.verdict({"name": "member", "depth": depth, "relative_width": R, "relative_width_se": R_se}).answer
''',
        "q4": '''
def fluctuation(layer, depth, samples, seed):
    exact = layer.width * dl.ergodic.lyapunov_exponent(layer).variance
    return exact, exact * math.sqrt(2 / samples)

own_layers = {"relu": dl.Dense(width, "relu"), "relu orthogonal": dl.Dense(width, "relu", weights="orthogonal"),
              "leaky": dl.Dense(width, "leaky_relu", slope=slope), "leaky orthogonal": dl.Dense(width, "leaky_relu", slope=slope, weights="orthogonal")}
table = {name: fluctuation(layer, width, 2000, seed) for name, layer in own_layers.items()}
''',
        "q5": USABLE.format(level="share", error="found.depth_se", best=LEADER),
    },
}

"""Wrong answers to the problem sets of Part IV, and right ones to the graded set through the package."""

from __future__ import annotations

MOMENTS = "\nmoments = mean(lambda h: phi(h) ** 2, 1.0), mean(lambda h: dphi(h) ** 2, 1.0)\n"
VARIANCE = '''
def fixed_variance(weight_std, bias_std):
    return optimize.brentq(lambda q: weight_std**2 * mean(lambda h: phi(h) ** 2, q) + bias_std**2 - q, bias_std**2, weight_std**2 + bias_std**2, xtol=1e-12)

'''
EDGE = '''
def edge(bias_std):
    def critical(q):
        return {critical}
    q = optimize.brentq(lambda q: critical(q) ** 2 * mean(lambda h: phi(h) ** 2, q) + bias_std**2 - q, 1e-6, 50.0)
    return critical(q), q

my_edge = edge(bias_std)
'''
FACTORS = '''
def factors(bias_std):
    weight, q = edge(bias_std)
    chi = lambda w: w**2 * mean(lambda h: dphi(h) ** 2, {variance})
    h = {step}
    return (chi(weight + h) - chi(weight - h)) / (2 * h), {curvature}

my_factors = factors(bias_std)
'''
MOVING, CURVATURE = "fixed_variance(w, bias_std)", "0.5 * weight**2 * q * mean(lambda h: ddphi(h) ** 2, q)"
COLLAPSE = '''
def universal(X):
    X = np.asarray(X, dtype=float)
    return {curve}

def rescale(depth, rho, delta, a, b):
    return {scaled}

def deviation(curves):
    X, Y = (np.concatenate(part) for part in zip(*curves))
    inside = {window}
    return float({deviation})

a, b = my_factors
own = {{"yours": my_factors}} | others
def judged(gain, curvature):
    return deviation([rescale(record, rho, sign * step, gain[name], curvature[name]) for (name, sign), rho in runs.items()])

gains, curvatures = ({{name: pair[k] for name, pair in own.items()}} for k in (0, 1))
quality = {{"own": judged(gains, curvatures), "one b": judged(gains, dict.fromkeys(own, b)), "one a": judged(dict.fromkeys(own, a), curvatures)}}
worst = max(own, key=lambda name: deviation([rescale(record, runs[name, sign], sign * step, *own[name]) for sign in (-1, 1)]))
'''
RIGHT_COLLAPSE = {
    "curve": "1 / special.exprel(-X)", "scaled": "a * delta * depth, b * depth * rho", "window": "(np.abs(X) >= 0.5) & (np.abs(X) <= 3)",
    "deviation": "np.abs(np.log(Y[inside] / universal(X[inside]))).mean()",
}
NARROW = '''
wide = dl.criticality.critical_weight_std("tanh", bias_std)
stds = wide + {offsets}
def measured(weight_std, seed):
    found = criticality.tangent_exponent(dl.Dense(width, "tanh", weight_std, bias_std), 80, 150, seed=seed)
    return weight_std, found.value, {error}
def zero(x, y, se):
    slope, height = np.polyfit(x - x.mean(), y, 1, w=1 / se)
    return x.mean() - height / slope
growth = [measured(w, seed + k) for k, w in enumerate(stds)]
x, y, se = map(np.array, zip(*growth))
noise = np.random.default_rng(0).standard_normal((300, len(x)))
{edge}
shift = (edge_of_width[0] - wide) / edge_of_width[1]
'''
BOTH_SIDES = "3.1 / width + np.array([-0.09, -0.05, 0.05, 0.09])"
ZERO = "edge_of_width = float(zero(x, y, se)), float(np.std([zero(x, y + se * n, se) for n in noise]))"

ENDS = '''
def ends(weight_std):
    q, c = 1.0, {start}
    for _ in range({layers}):
        q = dl.meanfield.variance_map(activation, q, weight_std, bias_std)
        c = dl.meanfield.correlation_map(activation, c, weight_std, bias_std)
    h = 1e-6
    at = {at}
    slope = (dl.meanfield.correlation_map(activation, at, weight_std, bias_std) - dl.meanfield.correlation_map(activation, at - h, weight_std, bias_std)) / h
    return q, c, 1 / abs(math.log(slope))

table = {{name: ends(w) for name, w in weight_stds.items()}}
'''
STEP = '''
def rho_step(rho, weight_std, bias_std):
    {body}

rate = -math.log(dl.meanfield.fixed_point("tanh", ordered_std, bias_std).chi)
layers_needed = math.ceil(27 * math.log(10) / rate)
'''
SLOPES = '''
def local_slope(depth, rho, ratio):
    depth, rho = np.asarray(depth, float), np.asarray(rho, float)
    near = depth[depth * ratio <= depth[-1]]
    {body}

deltas = {{}}
for name in ("tanh", "erf", "hardtanh"):
    curve = dl.meanfield.profile(name, dl.criticality.critical_weight_std(name, bias_std), bias_std, 600, rho=1.0)
    deltas[name] = float(local_slope(np.arange(1, 601), curve.rho[1:], 4.0)[1][-1])
classes = {classes}
'''
FAR, NEAR = (f"np.interp(np.log({at}), np.log(depth), np.log(rho))" for at in ("ratio * near", "near"))
CLASSES = '{"tanh": "smooth", "erf": "smooth", "hardtanh": "kinked"}'
FREE = '''
def free_exponents(curves):
    members = {n: xr.Dataset({"log_rho": (("sample", "depth"), y)}, {"depth": d}) for n, (d, y) in curves.items()}
    fit = criticality.finite_size_collapse(members, bootstrap=60)
    return RESULT

mine = free_exponents(my_curves)
'''
DECAY = '''
def decay(density, depths, first):
    ds = xr.Dataset({{"density": (("sample", "depth"), density)}}, {{"depth": depths}})
    found = percolation.exponents(ds, first)
    return {result}

tc = -math.log(1 - percolation.CRITICAL_PROBABILITY) / dial
bracket = {bracket}
evidence = {{}}
for k, name in enumerate(("low", "high")):
    run = system(400, bracket[k], 400, 24, seed + k)
    evidence[name] = decay(run.density.transpose("sample", "depth").values, run.depth.values, 40)
{more}
'''

WRONG = {
    "open-part4": {
        "q1": [
            ("ten nodes of Gauss and Hermite", '''
def mean(f, q):
    x, w = np.polynomial.hermite_e.hermegauss(10)
    return float((w * f(math.sqrt(q) * x)).sum() / w.sum())
''' + MOMENTS),
            ("the nodes of the other Hermite polynomials", '''
def mean(f, q):
    x, w = np.polynomial.hermite.hermgauss(120)
    return float((w * f(math.sqrt(q) * x)).sum() / math.sqrt(math.pi))
''' + MOMENTS),
            ("takes the variance for the standard deviation", '''
def mean(f, q):
    z = np.linspace(-12, 12, 9601)
    weight = np.exp(-(z**2) / 2)
    return float((weight * f(q * z)).sum() / weight.sum())
''' + MOMENTS),
            ("a Monte Carlo mean", '''
def mean(f, q):
    z = torch.randn(1_000_000, generator=cw.generator(student, "part4 q1")).numpy()
    return float(f(math.sqrt(q) * z).mean())
''' + MOMENTS),
        ],
        "q2": [
            ("the edge without biases", VARIANCE + '''
def edge(bias_std):
    return 1 / steep, fixed_variance(1 / steep, bias_std)

my_edge = edge(bias_std)
'''),
            ("squares the mean, not the slope", VARIANCE + EDGE.format(critical="1 / mean(dphi, q)")),
            ("takes the variance to be one", VARIANCE + '''
def edge(bias_std):
    return mean(lambda h: dphi(h) ** 2, 1.0) ** -0.5, 1.0

my_edge = edge(bias_std)
'''),
            ("iterates the variance three times", '''
def fixed_variance(weight_std, bias_std):
    q = 1.0
    for _ in range(3):
        q = weight_std**2 * mean(lambda h: phi(h) ** 2, q) + bias_std**2
    return q
''' + EDGE.format(critical="mean(lambda h: dphi(h) ** 2, q) ** -0.5")),
        ],
        "q3": [
            ("holds the variance fixed", FACTORS.format(variance="q", step="1e-4", curvature=CURVATURE)),
            ("forgets the half", FACTORS.format(variance=MOVING, step="1e-4", curvature="weight**2 * q * mean(lambda h: ddphi(h) ** 2, q)")),
            ("forgets the variance in b", FACTORS.format(variance=MOVING, step="1e-4", curvature="0.5 * weight**2 * mean(lambda h: ddphi(h) ** 2, q)")),
            ("a step that is too large", FACTORS.format(variance=MOVING, step="0.2", curvature=CURVATURE)),
        ],
        "q4": [
            ("the curve is not a number at zero", COLLAPSE.format(**RIGHT_COLLAPSE | {"curve": "X / (1 - np.exp(-X))"})),
            ("loses the sign of the distance", COLLAPSE.format(**RIGHT_COLLAPSE | {"scaled": "a * abs(delta) * depth, b * depth * rho"})),
            ("scales the order parameter without the depth", COLLAPSE.format(**RIGHT_COLLAPSE | {"scaled": "a * delta * depth, b * rho"})),
            ("lets deviations cancel", COLLAPSE.format(**RIGHT_COLLAPSE | {"deviation": "abs(np.log(Y[inside] / universal(X[inside])).mean())"})),
            ("uses all points", COLLAPSE.format(**RIGHT_COLLAPSE | {"window": "np.abs(X) >= 0"})),
        ],
        "q5": [
            ("reads the last point", '''
rho_curve = dl.meanfield.profile("tanh", known["yours"].weight_std, known["yours"].bias_std, 200).rho
def curvature_from(rho):
    l = len(rho) - 1
    return 1 / (l * rho[l])
my_b = curvature_from(rho_curve)
'''),
            ("a straight line through 1/rho", '''
rho_curve = dl.meanfield.profile("tanh", known["yours"].weight_std, known["yours"].bias_std, 200).rho
def curvature_from(rho):
    l = np.arange(40, len(rho))
    return float(np.polyfit(l, 1 / rho[l], 1)[0])
my_b = curvature_from(rho_curve)
'''),
            ("a power law fit", '''
rho_curve = dl.meanfield.profile("tanh", known["yours"].weight_std, known["yours"].bias_std, 200).rho
def curvature_from(rho):
    l = np.arange(40, len(rho))
    slope, level = np.polyfit(np.log(l), np.log(rho[l]), 1)
    return math.exp(-level)
my_b = curvature_from(rho_curve)
'''),
        ],
        "q6": [
            ("points on one side only", NARROW.format(offsets="3.1 / width + np.array([0.05, 0.07, 0.09, 0.12])", error="found.se", edge=ZERO)),
            ("the edge of infinite width", NARROW.format(offsets=BOTH_SIDES, error="found.se", edge="edge_of_width = wide, 0.002")),
            ("takes the variance of one network for the error", NARROW.format(offsets=BOTH_SIDES, error="math.sqrt(found.variance)", edge=ZERO)),
            ("gives no error", NARROW.format(offsets=BOTH_SIDES, error="found.se", edge="edge_of_width = float(zero(x, y, se)), 1e-6")),
            ("shifts the edge the wrong way", NARROW.format(offsets=BOTH_SIDES, error="found.se", edge="edge_of_width = wide - 3.1 / width, 0.004")),
        ],
    },
    "graded-part4": {
        "q1": [
            ("starts in the absorbing state", ENDS.format(start="1.0", layers="400", at="c")),
            ("thirty layers are taken for infinity", ENDS.format(start="0.5", layers="30", at="c")),
            ("takes the slope at c = 1", ENDS.format(start="0.5", layers="600", at="1.0")),
        ],
        "q2": [
            ("subtracts", STEP.format(body='return 1 - dl.meanfield.correlation_map("tanh", 1 - rho, weight_std, bias_std)')),
            ("linear at every size", STEP.format(body='return rho * dl.meanfield.fixed_point("tanh", weight_std, bias_std).chi')),
            ("gives the half difference the whole variance", STEP.format(body='return dl.meanfield.rho_map("tanh", min(2 * rho, 2.0), weight_std, bias_std)')),
            ("stops at the resolution", STEP.format(body='return max(dl.meanfield.rho_map("tanh", rho, weight_std, bias_std), 1e-16)')),
        ],
        "q3": [
            ("forgets the logarithm of the ratio", SLOPES.format(
                body=f"return near, -({FAR} - {NEAR})", classes=CLASSES)),
            ("takes the nearest recorded depth", SLOPES.format(
                body="far = np.array([np.abs(depth - ratio * l).argmin() for l in near])\n"
                "    return near, -np.log(rho[far] / rho[: len(near)]) / np.log(ratio)", classes=CLASSES)),
            ("one line through everything", SLOPES.format(
                body="return near, np.full(len(near), -np.polyfit(np.log(depth), np.log(rho), 1)[0])", classes=CLASSES)),
            ("calls all bounded activations smooth", SLOPES.format(
                body=f"return near, -({FAR} - {NEAR}) / np.log(ratio)",
                classes='dict.fromkeys(deltas, "smooth")')),
        ],
        "q4": [
            ("exchanges the exponents", FREE.replace("RESULT", "fit.Z, fit.Z_se, fit.A, fit.A_se")),
            ("supposes Z = 1", FREE.replace("RESULT", "fit.A + (1 - fit.Z), fit.A_se, 1.0, 0.001")),
            ("resamples depths, as if they were independent", FREE.replace("RESULT", "fit.A, fit.A_se / 6, fit.Z, fit.Z_se / 6")),
        ],
        "q5": [
            ("the standard deviation of a run", DECAY.format(
                result="found.delta, found.delta_se * math.sqrt(len(density))", bracket="tc * 0.975, tc * 1.025", more="")),
            ("a bracket beside the point", DECAY.format(result="found.delta, found.delta_se", bracket="tc * 1.01, tc * 1.06", more="")),
            ("gives the sign of the slope", DECAY.format(result="-found.delta, found.delta_se", bracket="tc * 0.975, tc * 1.025", more="")),
            ("exchanges the sides", DECAY.format(result="found.delta, found.delta_se", bracket="tc * 0.975, tc * 1.025",
                                                 more='evidence = {"low": evidence["high"], "high": evidence["low"]}')),
        ],
    },
}

RIGHT = {
    "graded-part4": {
        "q1": '''
def ends(weight_std):
    point = dl.meanfield.fixed_point(activation, weight_std, bias_std)
    return point.variance, point.correlation, point.depth_scale

table = {name: ends(w) for name, w in weight_stds.items()}
''',
        "q2": STEP.format(body='return dl.meanfield.rho_map("tanh", rho, weight_std, bias_std)'),
        "q3": '''
def local_slope(depth, rho, ratio):
    found = criticality.effective_exponent(xr.DataArray(rho, {"depth": depth}, "depth"), ratio=ratio)
    return found.depth.values, found.exponent.values

deltas = {}
for name in ("tanh", "erf", "hardtanh"):
    curve = dl.meanfield.profile(name, dl.criticality.critical_weight_std(name, bias_std), bias_std, 600, rho=1.0)
    deltas[name] = float(criticality.effective_exponent(curve).exponent[-1])
classes = {name: "smooth" if criticality.expansion(name, bias_std).power == 2 else "kinked" for name in deltas}
''',
        "q4": FREE.replace("RESULT", "fit.A, fit.A_se, fit.Z, fit.Z_se"),
        "q5": DECAY.format(result="found.delta, found.delta_se", bracket="tc * 0.975, tc * 1.025", more=""),
    },
}

"""Wrong answers to the checked steps of the final project: each must lose marks, and be told why."""

from __future__ import annotations

_ANGLES = '''
audit_depth = {"tanh, ordered": 40, "leaky ReLU, He": 140}[nearest]
angles = torch.stack([measure(states(build(audit_depth, s), my_pair()))["angle"] for s in range(40)])
alive = angles.log().isfinite().all(1)
'''

_RATES = '''
fit_from, fit_to = (10, 35) if nearest == "tanh, ordered" else (60, 130)
logs = angles[alive].log()
rates = (logs[:, fit_to] - logs[:, fit_from]) / (fit_to - fit_from)
'''

_LOCATED = '''
ds = xr.Dataset({"angle": (("sample", "depth"), angles[alive].numpy())}, {"depth": np.arange(audit_depth + 1)})
found = dl.cutoff.locate(dl.cutoff.survival(ds, "angle", epsilon))
'''

OPEN = {
    "q1": [
        ("draws the weights from torch's global state", '''
nearest = "tanh, ordered"

def build(depth, seed):
    blocks = [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(depth)]
    return Net(nn.Sequential(nn.Linear(64, width), nn.Tanh()), blocks, nn.Linear(width, 10)).double()

def states(model, x):
    with torch.no_grad():
        kept = [model.stem(x)]
        for block in model.blocks:
            kept.append(block(kept[-1]))
    return torch.stack(kept)
'''),
        ("forgets the state before the first block", '''
nearest = "tanh, ordered"

def build(depth, seed):
    return candidate(nearest, depth, seed)

def states(model, x):
    kept, h = [], model.stem(x)
    for block in model.blocks:
        h = block(h)
        kept.append(h)
    return torch.stack(kept).detach()
'''),
        ("uses the same seed for all networks, and keeps the gradients", '''
nearest = "tanh, ordered"

def build(depth, seed):
    return candidate(nearest, depth, 0)

def states(model, x):
    kept = [model.stem(x)]
    for block in model.blocks:
        kept.append(block(kept[-1]))
    return torch.stack(kept)
'''),
    ],
    "q2": [
        ("takes the arc cosine of the scalar product", '''
def measure(x):
    a, b = x[:, 0], x[:, 1]
    cosine = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))
    return {"log_norm": a.norm(dim=-1).log(), "log_distance": (a - b).norm(dim=-1).log(), "angle": cosine.clamp(-1, 1).acos()}
'''),
        ("takes the relative distance for the angle, and squared lengths", '''
def measure(x):
    a, b = x[:, 0], x[:, 1]
    return {"log_norm": a.square().sum(-1).log(), "log_distance": (a - b).square().sum(-1).log(), "angle": (a - b).norm(dim=-1) / a.norm(dim=-1)}
'''),
    ],
    "q3": [
        ("gives the spread over networks for the standard error", _ANGLES + '''
mean_log = angles[alive].log().mean(0)
se_log = angles[alive].log().std(0)
'''),
        ("takes the logarithm of the mean, which a few networks carry", _ANGLES + '''
mean_log = angles.mean(0).log()
se_log = angles.log().std(0) / 40**0.5
'''),
        ("measures one network forty times", '''
audit_depth = 40
angles = torch.stack([measure(states(build(audit_depth, 0), my_pair()))["angle"] for _ in range(40)])
mean_log, se_log = angles.log().mean(0), angles.log().std(0) / 40**0.5
'''),
    ],
    "q4": [
        ("takes layers for independent measurements, and the depth scale for the exponent", _RATES + '''
steps = logs.diff(dim=1)[:, fit_from:fit_to]
exponent, exponent_se = float(steps.mean()), float(steps.std()) / steps.numel()
theory = {"tanh, ordered": -1 / dl.meanfield.fixed_point("tanh", std, 0.05).depth_scale, "leaky ReLU, He": dl.ergodic.angle_collapse_exponent(width)}[nearest]
'''),
        ("fits the start too, with a rate of decay without its sign", _RATES + '''
exponent, exponent_se = -float(rates.mean()), float(rates.std())
theory = {"tanh, ordered": math.log(dl.meanfield.fixed_point("tanh", std, 0.05).chi), "leaky ReLU, He": -1 / width}[nearest]
'''),
        ("fits between two neighbouring depths", '''
fit_from, fit_to = 10, 11
exponent, exponent_se, theory = -0.1, 0.01, 0.0
'''),
    ],
    "q5": [
        ("compares with the square of the precision, and counts networks as exact", '''
ds = xr.Dataset({"angle": (("sample", "depth"), angles[alive].numpy())}, {"depth": np.arange(audit_depth + 1)})
found = dl.cutoff.locate(dl.cutoff.survival(ds, "angle", 4 * epsilon))
cutoff_depth, cutoff_depth_se = found.depth, 0.01
cutoff_window, cutoff_window_se = found.window, 0.01
predicted_depth = math.log(1 / epsilon) / -exponent
'''),
        ("takes half of the window, and starts the line at depth 0", _LOCATED + '''
cutoff_depth, cutoff_depth_se = found.depth, found.depth_se * len(angles) ** 0.5
cutoff_window, cutoff_window_se = found.quantiles[0.75] - found.quantiles[0.25], found.window_se
predicted_depth = (float(mean_log[fit_from]) - math.log(epsilon)) / -exponent
'''),
        ("says that there is none", '''
cutoff_depth = cutoff_depth_se = cutoff_window = cutoff_window_se = predicted_depth = math.inf
'''),
    ],
    "q6": [
        ("stops where the network still trains, with the spread for the error", '''
accuracy = {d: [train_and_test(build(d, s), s) for s in range(3)] for d in (2, 4, 6)}
drop = float(np.mean(accuracy[2]) - np.mean(accuracy[6]))
drop_se = math.hypot(np.std(accuracy[2], ddof=1), np.std(accuracy[6], ddof=1))
'''),
        ("trains one network with all seeds of the batches, and subtracts the wrong way round", '''
accuracy = {d: [train_and_test(build(d, 7), s) for s in range(3)] for d in (3, 10)}
drop = float(np.mean(accuracy[10]) - np.mean(accuracy[3]))
drop_se = abs(drop) / 3
'''),
    ],
}

WRONG = {"open-project": OPEN}
RIGHT: dict[str, dict[str, str]] = {}

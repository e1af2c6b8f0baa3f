"""Wrong answers to the problem sets of Part V: each must lose marks, and be told why."""

from __future__ import annotations

# --- question 5 of the open set: a diagnosis that needs the patients' order -----------------------------------------

_CLINIC = '''
cause = {{}}
for letter, (w, out) in patients.items():
    late = float(topology.train_population(w, out, teacher, lr=0.1, steps=1500, record=[1500]).loss[0, -1])
    c = topology.balance(w, out)
    cause[letter] = {rule}
bound = {bound}
'''

_CURED = '''
def cure(w, a, c):
    {body}

W_cured, a_cured = W6.clone(), a6.clone()
for k in {which}:
    W_cured[k], a_cured[k] = cure(W6[k], a6[k], 0.1)
'''

_ALPHA = """length = float(w.square().sum())
    alpha = math.sqrt((c + math.sqrt(c**2 + 4 * length * float(a) ** 2)) / (2 * length))
    return alpha * w, a / alpha"""

OPEN = {
    "q1": [
        ("leaves the bias out", '''
def balances(W, b, a):
    return W.square().sum(1) - (a.square() if a.ndim == 1 else a.square().sum(0))

frozen = [k for k, c in enumerate(balances(W, b, a).tolist()) if c <= 0]
'''),
        ("counts negative balances only, so that balance zero is called free", '''
def balances(W, b, a):
    return W.square().sum(1) + b.square() - (a.square() if a.ndim == 1 else a.square().sum(0))

frozen = [k for k, c in enumerate(balances(W, b, a).tolist()) if c < 0]
'''),
        ("lengths instead of squared lengths", '''
def balances(W, b, a):
    return (W.square().sum(1) + b.square()).sqrt() - (a.abs() if a.ndim == 1 else a.norm(dim=0))

frozen = [k for k, c in enumerate(balances(W, b, a).tolist()) if c <= 0]
'''),
        ("sums the outgoing weights over the neurons", '''
def balances(W, b, a):
    return W.square().sum(1) + b.square() - (a.square() if a.ndim == 1 else a.square().sum(1).mean())

frozen = [k for k, c in enumerate(balances(W, b, a).tolist()) if c <= 0]
'''),
        ("answers with a tensor of truth values", '''
def balances(W, b, a):
    return W.square().sum(1) + b.square() - (a.square() if a.ndim == 1 else a.square().sum(0))

frozen = balances(W, b, a) <= 0
'''),
    ],
    "q2": [
        ("takes the loops in the order of the text", '''
which = dict(zip("ABCD", ["gradient descent", "weight decay", "two rates", "Adam"]))
if [ "gradient descent", "weight decay", "two rates", "Adam"][int(torch.randperm(4, generator=cw.generator(student, "q2 order"))[0])] == which["A"]:
    which["A"], which["B"] = which["B"], which["A"]
decay, ratio = 0.0, 1.0
'''),
        ("forgets that a balance is quadratic, and inverts the ratio", '''
kinds = ["gradient descent", "weight decay", "two rates", "Adam"]
which = {letter: kinds[k] for letter, k in zip("ABCD", torch.randperm(4, generator=cw.generator(student, "q2 order")).tolist())}
decay = 2 * cw.number(student, "q2 decay", 0.1, 0.4)
ratio = 1 / cw.number(student, "q2 ratio", 2, 4, digits=1)
'''),
        ("names of its own", '''
which = {"A": "SGD", "B": "L2", "C": "Adam", "D": "two rates"}
decay, ratio = None, None
'''),
    ],
    "q3": [
        ("lets a free neuron serve both signs at once", '''
def rooms(j, g, P, N):
    return sum(math.comb(j, p) for p in range(j + 1) if P - p <= g and N - (j - p) <= g)

def free_needed(j, P, N):
    return max(P, N)
'''),
        ("counts components up to permutation", '''
def missing(p, j, P, N):
    return max(0, P - p) + max(0, N - (j - p))

def rooms(j, g, P, N):
    return sum(missing(p, j, P, N) <= g for p in range(j + 1))

def free_needed(j, P, N):
    return min(missing(p, j, P, N) for p in range(j + 1))
'''),
        ("lets a surplus of one sign pay for the other", '''
def rooms(j, g, P, N):
    return 2**j if P + N <= j + g else 0

def free_needed(j, P, N):
    return max(0, P + N - j)
'''),
    ],
    "q4": [
        ("takes the variance for the standard deviation, and forgets the root of n", '''
from scipy.special import betaincinv

z = betaincinv(inputs / 2, 1 / 2, allowed / hidden)
out_std = 2 / inputs * z / (1 - z)

def frozen_share(out_std, neurons, generator):
    W = math.sqrt(2 / inputs) * torch.randn(neurons, inputs, generator=generator, dtype=torch.float64)
    a = out_std * torch.randn(neurons, generator=generator, dtype=torch.float64)
    hit = (W.square().sum(1) <= a.square()).double()
    return float(hit.mean()), float(hit.std())
'''),
        ("counts the zero biases as incoming weights", '''
from scipy.special import betaincinv

z = betaincinv((inputs + 1) / 2, 1 / 2, allowed / hidden)
out_std = math.sqrt(2 / inputs * z / (1 - z))

def frozen_share(out_std, neurons, generator):
    W = math.sqrt(2 / inputs) * torch.randn(neurons, inputs + 1, generator=generator, dtype=torch.float64)
    a = out_std * torch.randn(neurons, generator=generator, dtype=torch.float64)
    share = float((W.square().sum(1) <= a.square()).double().mean())
    return share, math.sqrt(share * (1 - share) / neurons)
'''),
        ("takes the mean number for a probability, and LeCun's variance for He's", '''
from scipy.special import betaincinv

z = betaincinv(inputs / 2, 1 / 2, allowed)
out_std = math.sqrt(2 / inputs * z / (1 - z))

def frozen_share(out_std, neurons, generator):
    W = math.sqrt(1 / inputs) * torch.randn(neurons, inputs, generator=generator, dtype=torch.float64)
    a = out_std * torch.randn(neurons, generator=generator, dtype=torch.float64)
    share = float((W.square().sum(1) <= a.square()).double().mean())
    return share, math.sqrt(share * (1 - share) / neurons)
'''),
    ],
    "q5": [
        ("blames frozen signs wherever the loss stands at the level of the obstructed plateau",
         _CLINIC.format(rule='"frozen signs" if late > 0.185 else "spurious minimum" if late > 0.1 else "slow saddle"', bound="0.1889")),
        ("calls every stop a spurious minimum", _CLINIC.format(rule='"spurious minimum"', bound="0.0")),
        ("does not wait for the slow saddle", _CLINIC.format(rule='"frozen signs" if bool((c <= 1e-9).all()) else "spurious minimum"', bound="0.182067")),
    ],
    "q6": [
        ("cures every neuron", _CURED.format(body=_ALPHA, which="range(6)")),
        ("cures the first two positive neurons that it meets, the larger growth first",
         _CURED.format(body=_ALPHA, which="sorted((k for k in range(6) if a6[k] > 0), key=lambda k: float(topology.balance(W6, a6)[k]))[-2:]")),
        ("multiplies both weights by the factor", _CURED.format(body=_ALPHA.replace("a / alpha", "a * alpha"), which="[k for k in range(6) if a6[k] > 0][:2]")),
        ("flips the sign of a neuron instead of freeing it",
         _CURED.format(body="return w, -a", which="[k for k in range(6) if a6[k] > 0][:2]")),
    ],
}

GRADED = {
    "q1": [
        ("multiplies by the rates instead of dividing", '''
def weighted_balance(W, b, a, lr_in, lr_out):
    return lr_in * (W.square().sum(1) + b.square()) - lr_out * a.square()

def never_flips(W, b, a, lr_in, lr_out):
    return weighted_balance(W, b, a, lr_in, lr_out) <= 0
'''),
        ("keeps the ordinary balance", '''
def weighted_balance(W, b, a, lr_in, lr_out):
    return W.square().sum(1) + b.square() - a.square()

def never_flips(W, b, a, lr_in, lr_out):
    return weighted_balance(W, b, a, lr_in, lr_out) <= 0
'''),
        ("calls weighted balance zero free", '''
def weighted_balance(W, b, a, lr_in, lr_out):
    return (W.square().sum(1) + b.square()) / lr_in - a.square() / lr_out

def never_flips(W, b, a, lr_in, lr_out):
    return weighted_balance(W, b, a, lr_in, lr_out) < 0
'''),
    ],
    "q2": [
        ("takes the dimension of the space for that of the sphere", '''
def betti(W, b, a):
    a = a[None] if a.ndim == 1 else a
    c = W.square().sum(1) - a.square().sum(0) + (0 if b is None else b.square())
    D, e, p = W.shape[1] + (b is not None), len(a), np.ones(1, dtype=int)
    for value in c.tolist():
        n = D if value > 0 else e
        p = np.convolve(p, [1] + [0] * (n - 1) + [1]) if value else p
    return p.tolist()

pieces = betti(W2, b2, a2)[0]
'''),
        ("leaves the bias out", '''
def betti(W, b, a):
    a = a[None] if a.ndim == 1 else a
    c = W.square().sum(1) - a.square().sum(0)
    D, e, p = W.shape[1], len(a), np.ones(1, dtype=int)
    for value in c.tolist():
        n = D if value > 0 else e
        p = np.convolve(p, ([2] if n == 1 else [1] + [0] * (n - 2) + [1])) if value else p
    return p.tolist()

pieces = betti(W2, b2, a2)[0]
'''),
        ("counts components up to permutation", '''
def betti(W, b, a):
    a = a[None] if a.ndim == 1 else a
    c = W.square().sum(1) - a.square().sum(0) + (0 if b is None else b.square())
    return [int((c < 0).sum()) + 1]

pieces = betti(W2, b2, a2)[0]
'''),
    ],
    "q3": [
        ("takes rows for columns of the next layer, where the shapes allow it", '''
def chart(model):
    layers = [m for m in model if isinstance(m, nn.Linear)]
    found = []
    for inner, outer in zip(layers, layers[1:]):
        w, out = inner.weight.detach(), outer.weight.detach()
        side = 1 if out.shape[0] == out.shape[1] else 0
        bias = 0 if inner.bias is None else inner.bias.detach().square()
        found.append(w.square().sum(1) + bias - out.abs().sum(side))
    return {"balances": found, "frozen": int((found[-1] <= 0).sum()) if layers[-1].out_features == 1 else 0}
'''),
        ("counts frozen signs in every layer, whatever the number of outputs", '''
def chart(model):
    layers = [m for m in model if isinstance(m, nn.Linear)]
    found = []
    for inner, outer in zip(layers, layers[1:]):
        bias = 0 if inner.bias is None else inner.bias.detach().square()
        found.append(inner.weight.detach().square().sum(1) + bias - outer.weight.detach().square().sum(0))
    return {"balances": found, "frozen": sum(int((c <= 0).sum()) for c in found)}
'''),
        ("forgets the biases", '''
def chart(model):
    layers = [m for m in model if isinstance(m, nn.Linear)]
    found = [inner.weight.detach().square().sum(1) - outer.weight.detach().square().sum(0) for inner, outer in zip(layers, layers[1:])]
    return {"balances": found, "frozen": int((found[-1] <= 0).sum()) if layers[-1].out_features == 1 else 0}
'''),
    ],
    "q4": [
        ("counts one tail only", '''
from scipy.stats import norm

def frozen_probability(radius, out_std):
    return norm.sf(radius / out_std)

def largest_std(radius, hidden, risk):
    return radius / norm.isf(1 - (1 - risk) ** (1 / hidden))
'''),
        ("loses the tail to rounding, and asks each neuron for the risk of the network", '''
from scipy.stats import norm

def frozen_probability(radius, out_std):
    return 2 * (1 - norm.cdf(radius / out_std))

def largest_std(radius, hidden, risk):
    return radius / norm.isf(risk / 2)
'''),
        ("simulates instead of computing", '''
def frozen_probability(radius, out_std):
    return float(((out_std * torch.randn(4000)).abs() >= radius).double().mean())

def largest_std(radius, hidden, risk):
    return radius / math.sqrt(2 * math.log(hidden / risk))
'''),
    ],
    "q5": [
        ("forgets the hidden biases when it rescales", '''
def cured(model, margin):
    new = copy.deepcopy(model)
    with torch.no_grad():
        w, b, a = new[0].weight, new[0].bias, new[2].weight
        total = w.square().sum(1) + b.square()
        low = total - a[0].square() < margin
        alpha = torch.where(low, ((margin + (margin**2 + 4 * total * a[0].square()).sqrt()) / (2 * total)).sqrt(), 1.0)
        w.mul_(alpha[:, None])
        a.div_(alpha)
    return new
'''),
        ("rescales the model that was given", '''
def cured(model, margin):
    with torch.no_grad():
        w, b, a = model[0].weight, model[0].bias, model[2].weight
        total = w.square().sum(1) + b.square()
        low = total - a[0].square() < margin
        alpha = torch.where(low, ((margin + (margin**2 + 4 * total * a[0].square()).sqrt()) / (2 * total)).sqrt(), 1.0)
        w.mul_(alpha[:, None])
        b.mul_(alpha)
        a.div_(alpha)
    return model
'''),
        ("moves every neuron to the margin", '''
def cured(model, margin):
    new = copy.deepcopy(model)
    with torch.no_grad():
        w, b, a = new[0].weight, new[0].bias, new[2].weight
        total = w.square().sum(1) + b.square()
        alpha = ((margin + (margin**2 + 4 * total * a[0].square()).sqrt()) / (2 * total)).sqrt()
        w.mul_(alpha[:, None])
        b.mul_(alpha)
        a.div_(alpha)
    return new
'''),
        ("shrinks the output layer until nothing is frozen", '''
def cured(model, margin):
    new = copy.deepcopy(model)
    with torch.no_grad():
        new[2].weight.mul_(0.05)
    return new
'''),
    ],
}

RIGHT = {"graded-part5": {
    "q1": '''
from deeplimits import topology

def weighted_balance(W, b, a, lr_in, lr_out):
    return topology.balance(W / lr_in**0.5, a / lr_out**0.5, b / lr_in**0.5)

def never_flips(W, b, a, lr_in, lr_out):
    return (W.square().sum(1) + b.square()) * lr_out <= a.square() * lr_in
''',
    "q2": '''
from deeplimits import topology

def betti(W, b, a):
    c = W.square().sum(1) + (0 if b is None else b.square()) - (a.square() if a.ndim == 1 else a.square().sum(0))
    return topology.betti_numbers(c, W.shape[1], 1 if a.ndim == 1 else len(a), bias=b is not None)

pieces = topology.components(topology.balance(W2, a2, b2), 2, 1, bias=True)
''',
    "q3": '''
from deeplimits import topology

def chart(model):
    layers = [m for m in model if isinstance(m, nn.Linear)]
    found = topology.layer_balances([m.weight.detach() for m in layers], [None if m.bias is None else m.bias.detach() for m in layers[:-1]])
    return {"balances": found, "frozen": int((found[-1] <= 0).sum()) if layers[-1].out_features == 1 else 0}
''',
    "q4": '''
from scipy.stats import norm

def frozen_probability(radius, out_std):
    return 2 * norm.sf(radius / out_std)

def largest_std(radius, hidden, risk):
    return radius / norm.isf((1 - (1 - risk) ** (1 / hidden)) / 2)
''',
    "q5": '''
from deeplimits import topology

def cured(model, margin):
    new = copy.deepcopy(model)
    W, b, a = (p.detach() for p in (new[0].weight, new[0].bias, new[2].weight[0]))
    c = topology.balance(W, a, b)
    moved = topology.rescale(W, a, torch.where(c < margin, margin, c), b=b)
    low = c < margin
    with torch.no_grad():
        W[low], b[low], a[low] = moved.W[low], moved.b[low], moved.a[low]
    return new
''',
}}
WRONG = {"open-part5": OPEN, "graded-part5": GRADED}

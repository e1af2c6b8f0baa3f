"""Diagnosis of a reader's own network: balances, frozen signs, what it cannot fit, the cure, and clear refusals."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from deeplimits import topology
from tests.support import no_implicit_device


def network(*sizes, bias=True, activation=nn.ReLU, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    parts = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        parts += [nn.Linear(fan_in, fan_out, bias=bias), activation()]
    return nn.Sequential(*parts[:-1]).to(dtype)


def obstructed(scale=3.0, sign=1.0, **options):
    """Two inputs, four neurons, every output weight of one sign and larger than its incoming weights."""
    model = network(2, 4, 1, **options)
    with torch.no_grad():
        model[2].weight.copy_(sign * scale * (1 + model[2].weight.abs()))
    return model


def points(model, inputs=2, seed=3):
    return torch.randn(64, inputs, generator=torch.Generator().manual_seed(seed)).to(next(model.parameters()))


def said(found):
    """The diagnosis in words, without its line breaks."""
    assert max(map(len, str(found).splitlines())) <= 76
    return " ".join(str(found).split())


def test_balances_and_frozen_signs():
    model = network(2, 10, 1, seed=1)
    found = topology.diagnose(model)
    w, b, a = model[0].weight, model[0].bias, model[2].weight[0]
    balances = ((w**2).sum(1) + b**2 - a**2).detach()
    torch.testing.assert_close(found.last.balances, balances)
    assert found.last.signs.tolist() == torch.where(balances <= 0, a.detach().sign(), 0.0).int().tolist()
    assert (found.last.frozen_positive + found.last.frozen_negative, found.last.free) == (found.frozen, 10 - found.frozen)
    assert found.last.margins.abs().max() <= 1


@pytest.mark.statement("prop-cure")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_cure_frees_every_sign_and_changes_no_value(dtype):
    model = obstructed(dtype=dtype)
    found = topology.diagnose(model)
    assert (found.frozen, found.most_positive, found.most_negative) == (4, 4, 0)
    assert found.can_fit(4, 0) and not found.can_fit(1, 1)
    assert "at most 4 units with a positive and 0 with a negative" in said(found) and "convex for ever" in said(found)
    for cured in (found.cured(), found.cured(balance=0.3)):
        x = points(model)
        torch.testing.assert_close(cured(x), model(x), rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-6)
        after = topology.diagnose(cured)
        assert after.frozen == 0 and after.can_fit(2, 2) and "No sign is frozen" in said(after)
    assert topology.diagnose(found.cured(balance=0.3)).last.balances.tolist() == pytest.approx([0.3] * 4, rel=1e-5)
    assert topology.diagnose(model).frozen == 4  # the original is untouched


def test_balanced_is_not_the_cure():
    found = topology.diagnose(obstructed())
    with pytest.raises(ValueError, match="balanced"):
        found.cured(balance=0.0)
    model = obstructed()
    moved = topology.rescale(model[0].weight.detach(), model[2].weight.detach(), 0.0, model[0].bias.detach())
    with torch.no_grad():
        model[0].weight.copy_(moved.W), model[0].bias.copy_(moved.b), model[2].weight.copy_(moved.a)
    assert topology.diagnose(model).frozen == 4


@pytest.mark.statement("prop-cure")
def test_diagnosis_predicts_training():
    def loss_after(model):
        x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        y = torch.relu(x[:, :1]) - torch.relu(x[:, 1:])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
        for _ in range(600):
            optimizer.zero_grad()
            loss = 0.5 * (model(x) - y).square().mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    model = obstructed(scale=1.0, bias=False)
    found = topology.diagnose(model)
    assert not found.can_fit(1, 1)
    assert loss_after(found.cured()) < 0.01 < 0.15 < loss_after(model)


def test_deep_networks_layer_by_layer():
    model = network(3, 5, 4, 6, 1, activation=nn.LeakyReLU)
    found = topology.diagnose(model)
    assert [layer.hidden for layer in found.layers] == [5, 4, 6] and [layer.outputs for layer in found.layers] == [4, 6, 1]
    deep = topology.layer_balances([m.weight for m in model if isinstance(m, nn.Linear)], [m.bias for m in model if isinstance(m, nn.Linear)])
    for layer, balances in zip(found.layers, deep, strict=True):
        torch.testing.assert_close(layer.balances, balances.detach())
    with torch.no_grad():
        model[6].weight.copy_(2 + model[6].weight.abs())
    found = topology.diagnose(model)
    assert found.frozen == 6 and "functions of the features before" in said(found)
    cured = found.cured()
    x = points(model, inputs=3)
    torch.testing.assert_close(cured(x), model(x), rtol=1e-10, atol=1e-12)
    assert topology.diagnose(cured).frozen == 0


def test_several_outputs_and_linear_units_are_not_obstructed():
    model = network(2, 4, 3)
    with torch.no_grad():
        model[2].weight.mul_(100)
    found = topology.diagnose(model)
    assert found.frozen == 0 and "several outputs" in said(found) and (found.last.balances < 0).all()
    for question in (lambda: found.can_fit(1, 1), lambda: found.most_positive):
        with pytest.raises(ValueError, match="one output"):
            question()
    linear = nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(1.0), nn.Linear(3, 1))
    with torch.no_grad():
        linear[2].weight.fill_(9.0)
    assert topology.diagnose(linear).frozen == 0 and "linear units" in said(topology.diagnose(linear))


class Reader(nn.Module):
    """A module as people write them: submodules out of order, one activation used twice."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(5, 1)
        self.act = nn.ReLU()
        self.first = nn.Linear(3, 4)
        self.drop = nn.Dropout(0.5)
        self.second = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.act(self.second(self.drop(self.act(self.first(x))))))


def test_modules_with_submodules_in_order_of_their_calls():
    model = Reader().double()
    model.drop.eval()
    found = topology.diagnose(model)
    assert [layer.name for layer in found.layers] == ["first", "second"]
    assert model.training and not model.drop.training  # left as they were
    cured = found.cured(balance=2.0)
    assert type(cured) is Reader
    x = points(model, inputs=3)
    torch.testing.assert_close(cured.eval()(x), model.eval()(x))


def test_zero_neurons():
    model = obstructed()
    with torch.no_grad():
        model[0].weight[1] = 0
        model[0].bias[1] = 0
    found = topology.diagnose(model)
    with pytest.raises(ValueError, match=r"neurons \[1\] of 0 have no incoming weights"):
        found.cured()
    with torch.no_grad():
        model[2].weight[0, 1] = 0
    found = topology.diagnose(model)
    assert found.last.zero == (1,) and found.last.free == 0 and "1 zero neuron" in said(found)
    assert topology.diagnose(found.cured()).frozen == 0


def test_one_incoming_weight():
    model = network(1, 3, 1, bias=False)
    found = topology.diagnose(model)
    assert "stays on its side of zero" in said(found)
    with pytest.raises(ValueError, match="two inputs"):
        found.can_fit(1, 1)


def test_no_implicit_device():
    model = obstructed()
    with no_implicit_device():
        topology.diagnose(model).cured()


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.r, self.b = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)

    def forward(self, x):
        return self.b(x + self.r(self.a(x)))


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


@pytest.mark.parametrize(("model", "kind", "error"), [
    (torch.ones(2), TypeError, "model must be a torch.nn.Module"),
    (nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), TypeError, "1 is Tanh"),
    (nn.Sequential(nn.Linear(2, 3)), ValueError, "hidden layer"),
    (nn.Sequential(nn.ReLU()), ValueError, "hidden layer"),
    (nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), ValueError, "between 0 and 1"),
    (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), nn.ReLU()), ValueError, "end with"),
    (nn.Sequential(nn.ReLU(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), ValueError, "alternate"),
    (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(4, 1)), ValueError, "inputs of shape"),
    (Skip(), ValueError, "chain of its submodules"),
    (Functional(), ValueError, "torch.relu"),
    (network(2, 3, 1).half(), TypeError, "float32 or float64"),
])  # fmt: skip
def test_refusals(model, kind, error):
    with pytest.raises(kind, match=error):
        topology.diagnose(model)

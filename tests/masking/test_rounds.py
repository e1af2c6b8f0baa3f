"""One round: five routes to the same weights, and the algorithms that are special cases."""

from __future__ import annotations

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from deeplimits import masking
from deeplimits.masking import rounds
from tests.support import no_implicit_device


def setting(width=240, n=30, dim=12):
    X, y = masking.random_task(n, dim, seed=1)
    return X, y, *masking.initial_weights(width, dim, seed=2)


@pytest.mark.statement("def-masked-training")
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("local_steps", [1, 4])
@pytest.mark.parametrize(("masks", "keep"), [("bernoulli", 0.4), ("partition", None), ("categorical", None)])
def test_all_routes_give_the_same_weights(masks, keep, local_steps, frozen):
    X, y, W, a = setting()
    gate = (X @ W.T > 0).float() if frozen else None
    law = masking.mask_law(masks, 6, keep, width=240)
    drawn = law.draw(0, 5)
    options = dict(lr=0.3 * law.keep, scale=1 / law.keep, local_steps=local_steps, gate=gate)
    found = {route: masking.one_round(W, a, drawn, X, y, route=route, **options)
             for route in masking.ROUTES if route != "shared" or local_steps == 1}
    assert (found["loop"] - W).abs().max() > 1e-2
    for route, weights in found.items():
        assert (weights - found["loop"]).abs().max() < 1e-5, route
    unselected = drawn.amax(0) == 0
    assert masks != "bernoulli" or unselected.any()
    assert torch.equal(found["auto"][unselected], W[unselected])


@pytest.mark.statement("def-masked-training")
def test_a_round_by_hand():
    """Masks, gradients and means written out with autograd, neuron by neuron."""
    X, y, W, a = setting(width=9)
    M = torch.tensor([[1.0] * 4 + [0] * 5, [0, 0, 1, 1, 1, 1, 0, 0, 0]])
    lr, q = 0.05, 3.0
    ends = []
    for mask in M:
        w = W.clone()
        for _ in range(3):
            w.requires_grad_(True)
            f = q / math.sqrt(9) * sum(mask[r] * a[r] * torch.relu(X @ w[r]) for r in range(9))
            (gradient,) = torch.autograd.grad(0.5 * ((f - y) ** 2).sum(), w)
            w = (w - lr * gradient).detach()
        ends.append(w)
    expected = W.clone()
    for r in range(9):
        held = [ends[s][r] for s in range(2) if M[s, r]]
        if held:
            expected[r] = torch.stack(held).mean(0)
    found = masking.one_round(W, a, M, X, y, lr=lr, scale=q, local_steps=3)
    assert (found - expected).abs().max() < 1e-5
    zeroed = masking.one_round(W, a, M, X, y, lr=lr, scale=q, local_steps=3, unselected="zero")
    assert (zeroed[6:] == 0).all() and torch.equal(zeroed[:6], found[:6])


@pytest.mark.statement("prop-special-cases")
def test_dropout_is_the_case_of_one_mask():
    X, y, W, a = setting()
    mask = masking.mask_law("bernoulli", 1, 0.7, width=240).draw(0, 0)
    weights = W.clone().requires_grad_(True)
    hidden = torch.relu(X @ weights.T) * mask / 0.7  # inverted dropout, as torch scales it
    (gradient,) = torch.autograd.grad(0.5 * (hidden @ a / math.sqrt(240) - y).square().sum(), weights)
    found = masking.one_round(W, a, mask, X, y, lr=0.1, scale=1 / 0.7)
    assert (found - (W - 0.1 * gradient)).abs().max() < 1e-6


@pytest.mark.statement("prop-special-cases")
def test_independent_subnets_are_small_networks_put_side_by_side():
    X, y, W, a = setting()
    law = masking.mask_law("partition", 4, width=240)
    owner, expected = law.owners(0, 0), W.clone()
    for s in range(4):
        w = W[owner == s].clone().requires_grad_(True)
        optimizer = torch.optim.SGD([w], lr=0.02)
        for _ in range(5):
            optimizer.zero_grad()
            f = 4 / math.sqrt(240) * torch.relu(X @ w.T) @ a[owner == s]
            (0.5 * (f - y).square().sum()).backward()
            optimizer.step()
        expected[owner == s] = w.detach()
    found = masking.one_round(W, a, law.draw(0, 0), X, y, lr=0.02, scale=4.0, local_steps=5)
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.statement("prop-special-cases")
def test_masks_that_keep_all_are_gradient_descent():
    X, y, W, a = setting()
    ds = masking.train(X, y, 240, **masking.special_case("gradient descent"), lr=0.2, rounds=20, seed=2, progress=False)
    for _ in range(20):
        Z = X @ W.T
        back = ((torch.relu(Z) @ a / math.sqrt(240) - y)[:, None] * (Z > 0)).T @ X
        W = W - 0.2 * a[:, None] / math.sqrt(240) * back
    assert (torch.as_tensor(ds.weights.values[0]) - W).abs().max() < 1e-4


def test_rounds_are_batched_over_networks():
    X, y, W, a = setting()
    law = masking.mask_law("bernoulli", 3, 0.5, width=240)
    M = torch.stack([law.draw(0, 0), law.draw(1, 0)])
    for steps in (1, 2):
        both = masking.one_round(torch.stack([W, 2 * W]), torch.stack([a, -a]), M, X, y, lr=0.05, scale=2.0, local_steps=steps)
        single = masking.one_round(2 * W, -a, M[1], X, y, lr=0.05, scale=2.0, local_steps=steps)
        assert (both[1] - single).abs().max() < 1e-5


def test_shared_pass_is_for_one_step():
    X, y, W, a = setting()
    with pytest.raises(ValueError, match="route='shared' holds for local_steps=1 only"):
        masking.one_round(W, a, torch.ones(1, 240), X, y, lr=0.1, scale=1.0, local_steps=2, route="shared")


@pytest.mark.parametrize("route", ["shared", "gathered", "einsum"])
def test_the_kernel_has_no_branch_on_values(route):
    with FakeTensorMode(), no_implicit_device():
        X, y = torch.empty(7, 3, device="cpu"), torch.empty(7, device="cpu")
        W, a, M = torch.empty(12, 3, device="cpu"), torch.empty(12, device="cpu"), torch.empty(4, 12, device="cpu")
        problem = rounds.Problem(X, y, factor=2.0, lr=0.1, local_steps=1)
        assert rounds.change(W[None], a[None], M[None], problem, route).shape == (1, 12, 3)

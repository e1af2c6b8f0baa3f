"""The laws of the masks."""

from __future__ import annotations

import math

import pytest
import torch

from deeplimits import masking
from tests.support import assert_within_errors


@pytest.mark.statement("prop-updated-share")
def test_share_of_updated_neurons_and_mean_number_of_masks():
    law = masking.mask_law("bernoulli", 4, 0.25, width=2000)
    assert law.updated == pytest.approx(1 - 0.75**4, rel=1e-14) == masking.updated_share(4, 0.25)
    drawn = torch.stack([law.draw(0, k) for k in range(40)])
    updated = drawn.amax(1).mean().item()
    assert_within_errors(updated, math.sqrt(updated * (1 - updated) / 80_000), law.updated)
    assert_within_errors(drawn.mean().item(), math.sqrt(0.25 * 0.75 / drawn.numel()), 0.25)


@pytest.mark.statement("prop-updated-share")
@pytest.mark.parametrize(("subnetworks", "keep", "rounds", "share"), [(10, 0.5, 20, 0.981), (1, 0.1, 1, 0.1)])
def test_neurons_set_to_zero_stay_dead(subnetworks, keep, rounds, share):
    assert masking.alive_share(subnetworks, keep, rounds) == pytest.approx(share, abs=5e-4)
    X, y = masking.random_task(20, 10)
    ds = masking.train(X, y, 4000, subnetworks, 1, keep, 0.02 * keep, rounds=rounds, unselected="zero", progress=False)
    exact = masking.alive_share(subnetworks, keep, rounds)
    assert_within_errors(float(ds.alive[0, -1]), math.sqrt(exact * (1 - exact) / 4000), exact)


@pytest.mark.parametrize("masks", ["partition", "categorical"])
def test_a_partition_holds_each_neuron_once(masks):
    law = masking.mask_law(masks, 5, None, width=40)
    for k in range(10):
        M = law.draw(3, k)
        assert (M.sum(0) == 1).all() and torch.equal(M.argmax(0), law.owners(3, k))
        assert masks == "categorical" or (M.sum(1) == 8).all()
    assert law.updated == 1.0 and law.keep == 0.2


def test_masks_are_keyed_by_seed_and_round():
    law = masking.mask_law("bernoulli", 3, 0.5, width=50)
    assert torch.equal(law.draw(1, 7), law.draw(1, 7))
    assert not torch.equal(law.draw(1, 7), law.draw(1, 8)) and not torch.equal(law.draw(1, 7), law.draw(2, 7))


@pytest.mark.parametrize("masks", ["bernoulli", "partition", "categorical"])
def test_outcomes_have_probability_one_and_the_stated_coupling(masks):
    law = masking.mask_law(masks, 2, 0.5, width=6)
    M, p = law.outcomes()
    assert p.sum().item() == pytest.approx(1, rel=1e-12)
    both = torch.einsum("k,ki,kj->ij", p, M[:, 0], M[:, 0])
    off = both[~torch.eye(6, dtype=torch.bool)]
    torch.testing.assert_close(off, torch.full_like(off, law.keep**2 * law.coupling), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("arguments", "words"), [
    (dict(masks="coins", keep=0.5), "masks must be one of 'bernoulli', 'partition', 'categorical'"),
    (dict(keep=0.0), r"keep must lie in \(0, 1\].*got 0.0"),
    (dict(keep=1.2), r"keep must lie in \(0, 1\].*got 1.2"),
    (dict(keep=None), "keep must be a number"),
    (dict(masks="partition", keep=0.5), "keep must be 1/subnetworks = 0.25"),
    (dict(masks="partition", keep=None, width=10), r"width must be a multiple of subnetworks=4.*got 10 \(8 or 12"),
    (dict(masks="partition", keep=None, width=3), r"got 3 \(4 would do"),
    (dict(subnetworks=0, keep=0.5), "subnetworks must be a whole number of at least 1"),
])
def test_bad_laws_say_what_would_work(arguments, words):
    with pytest.raises(ValueError, match=words):
        masking.mask_law(**{"masks": "bernoulli", "subnetworks": 4, "keep": 0.5, **arguments})


def test_too_many_outcomes():
    with pytest.raises(ValueError, match="outcomes"):
        masking.mask_law("bernoulli", 4, 0.5, width=50).outcomes()


def test_special_cases_ask_for_what_they_need():
    assert masking.special_case("independent subnets", subnetworks=4, local_steps=5) == {"subnetworks": 4, "local_steps": 5, "keep": 0.25, "masks": "partition"}
    assert masking.special_case("gradient descent")["keep"] == 1.0
    with pytest.raises(ValueError, match="keep must be given for 'dropout'"):
        masking.special_case("dropout")
    with pytest.raises(ValueError, match="subnetworks must not be given for 'dropout'"):
        masking.special_case("dropout", keep=0.5, subnetworks=3)

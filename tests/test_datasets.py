"""The digits: split, scaling, pairs."""

from __future__ import annotations

import pytest
import torch

from deeplimits import datasets
from tests.support import no_implicit_device

F64 = torch.float64


def test_split_is_a_partition():
    train, test, both = (datasets.digits(s, centred=False, scaled=False, dtype=F64) for s in ("train", "test", "all"))
    assert (len(train), len(test), len(both)) == (1347, 450, 1797)
    joined = torch.cat([train.images, test.images])
    # Sorted by a random projection the two collections are the same images.
    projection = torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=F64, device="cpu")
    assert torch.allclose((joined @ projection).sort().values, (both.images @ projection).sort().values, rtol=1e-12)
    assert torch.bincount(test.labels, minlength=10).min() > 25
    assert both.images.min() == 0 and both.images.max() == 16


def test_pixels_are_scikit_learns():
    from sklearn.datasets import load_digits

    data = datasets.digits("all", flatten=False, centred=False, scaled=False, dtype=F64)
    assert torch.equal(data.images, torch.as_tensor(load_digits().images))
    assert torch.equal(data.labels, torch.as_tensor(load_digits().target))


def test_centred_and_scaled_by_the_training_part():
    train, test = datasets.digits(dtype=F64), datasets.digits("test", dtype=F64)
    assert train.images.mean(0).abs().max() < 1e-12
    assert train.images.square().mean().item() == pytest.approx(1.0, rel=1e-12)
    assert torch.equal(train.mean, test.mean) and train.scale == test.scale
    raw = datasets.digits("test", centred=False, scaled=False, dtype=F64)
    assert torch.allclose(test.images, (raw.images - test.mean) / test.scale, rtol=1e-12)
    only_scaled = datasets.digits(centred=False, dtype=F64)
    assert only_scaled.images.square().mean().item() == pytest.approx(1.0, rel=1e-12) and only_scaled.images.min() == 0
    assert train.images.norm(dim=-1).mean().item() == pytest.approx(8, rel=0.05)


def test_shapes_dtypes_and_order():
    data = datasets.digits("train", flatten=False)
    assert data.images.shape == (1347, 8, 8) and data.mean.shape == (8, 8) and data.images.dtype == torch.float32
    assert torch.equal(data.images.flatten(1), datasets.digits("train").images)
    with no_implicit_device():
        datasets.digits("test")
        datasets.digit_pair(seed=1)


def test_digit_pair_shows_one_digit_twice():
    data = datasets.digits("all", dtype=F64)
    for digit in (*range(10), None):
        pair = datasets.digit_pair(digit, seed=4, dtype=F64)
        assert pair.shape == (2, 64) and not torch.equal(pair[0], pair[1])
        labels = [data.labels[(data.images == photo).all(-1)] for photo in pair]
        assert labels[0][0] == labels[1][0] and digit in (None, int(labels[0][0]))
    assert torch.equal(datasets.digit_pair(3, seed=1), datasets.digit_pair(3, seed=1))
    assert not torch.equal(datasets.digit_pair(3, seed=1), datasets.digit_pair(3, seed=2))
    g = torch.Generator().manual_seed(0)
    assert not torch.equal(datasets.digit_pair(3, generator=g), datasets.digit_pair(3, generator=g))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: datasets.digits("valid"), "split must be one of 'train', 'test', 'all'; got 'valid'"),
    (lambda: datasets.digits(dtype=torch.float16), "dtype"),
    (lambda: datasets.digit_pair(10), "digit"),
    (lambda: datasets.digit_pair(2.5), "digit"),
    (lambda: datasets.digit_pair(seed=-1), "seed"),
])
def test_bad_arguments_are_named(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()

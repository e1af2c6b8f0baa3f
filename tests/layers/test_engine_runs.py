"""Every square layer of vectors through the engine: what it carries in logarithms is what plain composition gives."""

from __future__ import annotations

import math

import pytest
import torch

from deeplimits import engine
from tests.layers.catalogue import CATALOGUE, rng, spd, vectors

SQUARE = [name for name, (layer, points) in CATALOGUE.items() if layer.width == layer.fan_in and points is not spd]


RUNS = [(name, "weights") for name in SQUARE] + [(name, "law") for name in SQUARE if CATALOGUE[name][0].has_law]


@pytest.mark.parametrize(("name", "route"), RUNS)
def test_log_distance_is_that_of_plain_composition(name, route):
    layer, points = CATALOGUE[name]
    x0 = points((3,), layer.fan_in, rng(1))
    see = {"points": lambda x: x, "log_distance": "log_distance", "log_norm": "log_norm"}
    ds = engine.simulate(layer, x0, 4, see, samples=3, seed=2, route=route, progress=False)
    x = torch.as_tensor(ds["points"].values)  # (sample, depth, input, coordinate)
    assert torch.allclose(x[:, 0], x0.expand(3, -1, -1), rtol=1e-12, atol=1e-15)
    log_norm = torch.as_tensor(ds["log_norm"].values)
    assert torch.allclose(x.norm(dim=-1).log(), log_norm, rtol=1e-9, atol=1e-9)
    apart = (x - x[:, :, :1]).norm(dim=-1)[:, :, 1:]
    log_distance = torch.as_tensor(ds["log_distance"].values)[:, :, 1:]
    resolved = apart > 1e-5 * x.norm(dim=-1)[:, :, :1]
    assert resolved.double().mean() > 0.5
    assert torch.allclose(apart.log()[resolved], log_distance[resolved], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["gradient tanh", "conv1d", "positive softplus", "attention", "chain", "averaged"])
def test_composition_by_hand(name):
    """The same streams drawn again give the same maps: a run is a loop over layer maps."""
    layer, points = CATALOGUE[name]
    if layer.width != layer.fan_in:
        layer = layer.resized(layer.width)
    x0 = points((2,), layer.fan_in, rng(1))
    ds = engine.simulate(layer, x0, 3, {"points": lambda x: x}, samples=2, seed=2, route="weights", progress=False)
    x = x0.expand(2, *x0.shape)
    from deeplimits.engine.streams import stream

    for depth in range(1, 4):
        x = layer.sample(stream(2, depth, 0, torch.device("cpu")), samples=2, dtype=x0.dtype)(x)
        assert torch.allclose(torch.as_tensor(ds["points"].values)[:, depth], x, rtol=1e-10, atol=1e-12)


def test_matrices_run_with_callable_observers():
    layer, _ = CATALOGUE["congruence"]
    x0 = spd((2,), 3, rng(1))
    ds = engine.simulate(layer, x0, 5, {"log_det": torch.logdet}, samples=4, seed=1, progress=False)
    log_det = torch.as_tensor(ds["log_det"].values)
    # log det grows by 2 log|det M|, the same for both inputs.
    assert log_det.shape == (4, 6, 2)
    step = log_det.diff(dim=1)
    assert torch.allclose(step[..., 0], step[..., 1], rtol=1e-6, atol=1e-8)


def test_distances_far_below_the_smallest_double():
    """A contraction of norm 1/100 on five hundred layers: 1e-1000 and beyond, on the weights route."""
    import deeplimits.layers as L

    layer = L.Contraction(4, "tanh", norm=0.01, bias_std=0.5)
    x0 = vectors((2,), 4, rng(1))
    ds = engine.simulate(layer, x0, 500, ["log_distance"], record=[0, 500], samples=3, seed=2, progress=False)
    fall = ds["log_distance"].values[:, 1, 1] - ds["log_distance"].values[:, 0, 1]
    assert (fall <= 500 * math.log(0.01)).all() and (fall > -1e5).all()

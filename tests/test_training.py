"""Many networks trained at once: against an ordinary torch loop, and what happens when something goes wrong."""

from __future__ import annotations

import _thread
import json
import signal
import threading
import time

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import deeplimits as dl
from deeplimits.training import batch_order, initial_network, train_ensemble
from deeplimits.training.program import Program
from deeplimits.training.starts import starting_layers
from tests.support import no_implicit_device

DOUBLE = torch.float64


def small(examples: int = 90, dim: int = 7, classes: int = 3, dtype: torch.dtype = DOUBLE) -> tuple:
    """Three clouds of points, for training and for the test."""
    g = torch.Generator(device="cpu").manual_seed(0)
    centres = 2 * torch.randn(classes, dim, generator=g, dtype=DOUBLE, device="cpu")
    parts = []
    for n in (examples, 40):
        y = torch.randint(classes, (n,), generator=g, device="cpu")
        parts.append(((centres[y] + torch.randn(n, dim, generator=g, dtype=DOUBLE, device="cpu")).to(dtype), y))
    return tuple(parts)


def torch_loop(net: nn.Sequential, optimizer: torch.optim.Optimizer, data: tuple, seed: int, epochs: int, batch_size: int) -> np.ndarray:
    """What anybody would write; train and test loss and accuracy after every epoch, shape (epochs + 1, 4)."""
    loss, rows = nn.CrossEntropyLoss(), []
    for epoch in range(epochs + 1):
        if epoch:
            for picked in batch_order(seed, epoch, len(data[0][0])).split(batch_size):
                optimizer.zero_grad()
                loss(net(data[0][0][picked]), data[0][1][picked]).backward()
                optimizer.step()
        with torch.no_grad():
            outs = [net(x) for x, _ in data]
            rows.append([f(out, y) for out, (_, y) in zip(outs, data, strict=True) for f in (loss, lambda o, y: (o.argmax(1) == y).double().mean())])
    return np.array(rows, dtype=float)


MEASURES = ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


@pytest.mark.parametrize("activation", ["tanh", "relu", "erf", "abs", "hardtanh", "sin", "softplus", "leaky_relu", "identity"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_batched_program_is_the_ordinary_loop(activation, optimizer):
    """Second route: torch.nn, autograd and torch's optimizers, from the same weights and batches (90 examples make an uneven last batch)."""
    scale, common = (1.0 if optimizer == "sgd" else 0.1), dict(epochs=2, batch_size=32, data=small(), dtype=DOUBLE, progress=False)
    rows = [{"weight_std": std, "lr": lr * scale, "seed": seed} for std, lr, seed in ((0.8, 0.02, 0), (1.3, 0.05, 0), (1.3, 0.02, 4))]
    ds = train_ensemble(3, 8, activation, bias_std=0.2, networks=rows, optimizer=optimizer, **common)
    for k, row in enumerate(rows):
        net = initial_network(3, 8, activation, row["weight_std"], 0.2, row["seed"], dim_in=7, classes=3, dtype=DOUBLE)
        wanted = torch_loop(net, OPTIMIZERS[optimizer](net.parameters(), lr=row["lr"]), small(), row["seed"], 2, 32)
        found = ds.isel(network=k)[MEASURES].to_array().transpose("epoch", "variable").values
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("depth", [1, 2, 12])
def test_float32_on_the_digits_follows_the_loop(depth):
    data = tuple((d.images, d.labels) for d in (dl.datasets.digits(s, dtype=torch.float32) for s in ("train", "test")))
    ds = train_ensemble(depth, 32, "tanh", "critical", 0.1, 0.02, [0, 1, 2], epochs=2, progress=False)
    net = initial_network(depth, 32, "tanh", "critical", 0.1, 2, dtype=torch.float32)
    wanted = torch_loop(net, torch.optim.SGD(net.parameters(), lr=0.02), data, 2, 2, 64)
    found = ds.sel(seed=2)[["train_loss", "test_loss"]].to_array().transpose("epoch", "variable").values
    np.testing.assert_allclose(found, wanted[:, [0, 2]], rtol=1e-5, atol=1e-5)


def test_mixed_shapes_each_get_their_own_network():
    """Depths, widths and activations are grouped by shape; every entry is the network trained alone."""
    grid = dict(depth=[1, 3], width=[4, 6], activation=["tanh", "relu"], bias_std=[0.1, 0.3], seed=[3, 1])
    common = dict(epochs=1, batch_size=30, lr=0.1, data=small(), dtype=DOUBLE, progress=False)
    ds = train_ensemble(**grid, **common)
    assert dict(ds.train_loss.sizes) == {"activation": 2, "depth": 2, "width": 2, "bias_std": 2, "seed": 2, "epoch": 2}
    for values in ((1, 6, "relu", 0.3, 1), (3, 4, "tanh", 0.1, 3)):
        pick = dict(zip(grid, values, strict=True))
        alone = train_ensemble(**pick, **common)
        np.testing.assert_allclose(ds.sel(pick).train_loss, alone.train_loss, rtol=1e-12)


def test_a_list_of_networks_is_the_same_as_a_grid():
    common = dict(width=5, lr=0.1, epochs=1, batch_size=30, data=small(), dtype=DOUBLE, progress=False)
    listed = train_ensemble(networks=[{"depth": 2, "seed": 1}, {"depth": 1}, {"depth": 2, "weight_ratio": 1.2, "bias_std": 0.3}], **common)
    assert listed.test_loss.dims == ("network", "epoch") and listed.depth.values.tolist() == [2, 1, 2]
    grid = train_ensemble(depth=[1, 2], seed=[0, 1], **common)
    np.testing.assert_allclose(listed.test_loss[0], grid.test_loss.sel(depth=2, seed=1), rtol=1e-12)
    np.testing.assert_allclose(listed.test_loss[1], grid.test_loss.sel(depth=1, seed=0), rtol=1e-12)
    assert float(listed.weight_scale[2]) == pytest.approx(1.2 * 1.395584, rel=1e-6)


def test_networks_of_one_seed_share_their_normals():
    """Paired: the same draw scaled, whatever sigma_w, sigma_b, activation and depth."""
    narrow, wide = (starting_layers(d, 6, a, s, b, "gaussian", 5, 7, 3, 1.0) for d, a, s, b in ((2, "tanh", 1.0, 0.1), (4, "relu", 2.0, 0.4)))
    for k in range(2):
        torch.testing.assert_close(2 * narrow[k][0], wide[k][0])
        torch.testing.assert_close(4 * narrow[k][1], wide[k][1])
    other = starting_layers(2, 6, "tanh", 1.0, 0.1, "gaussian", 6, 7, 3, 1.0)
    assert not torch.allclose(narrow[0][0], other[0][0])


def test_initial_weights_have_the_stated_law():
    layers = starting_layers(3, 200, "tanh", 1.5, 0.3, "gaussian", 0, 100, 10, 1.0)
    for (weight, bias), fan_in, std, b in zip(layers, (100, 200, 200, 200), (1.5, 1.5, 1.5, 1.0), (0.3, 0.3, 0.3, 0.0), strict=True):
        n = weight.numel()
        assert abs(float(weight.square().mean()) * fan_in / std**2 - 1) <= 4 * (2 / n) ** 0.5
        assert (float(bias.square().mean()) == 0) if b == 0 else abs(float(bias.square().mean()) / b**2 - 1) <= 4 * (2 / 200) ** 0.5
    orthogonal = starting_layers(2, 20, "tanh", 1.1, 0.0, "orthogonal", 0, 20, 10, 1.0)[1][0]
    torch.testing.assert_close(orthogonal @ orthogonal.T, 1.21 * torch.eye(20, dtype=DOUBLE, device="cpu"))


def test_a_network_that_diverges_touches_no_other():
    common = dict(depth=2, width=8, activation="identity", weight_std=1.0, epochs=6, batch_size=30, data=small(), dtype=DOUBLE, progress=False)
    ds = train_ensemble(lr=[0.01, 1e6, 0.05], **common)
    assert ds.diverged.values.tolist() == [False, True, False] and ds.finished.all()
    assert np.isnan(ds.train_loss[1, -1]) and np.isnan(ds.train_accuracy[1, -1]) and np.isnan(ds.test_accuracy[1, -1])
    assert np.isfinite(ds.train_loss[1, 0])  # its start is on record
    for place, lr in ((0, 0.01), (2, 0.05)):
        np.testing.assert_allclose(ds.train_loss[place], train_ensemble(lr=lr, **common).train_loss, rtol=1e-12)


def test_results_are_the_same_on_one_core_and_save_and_load(monkeypatch, tmp_path):
    arguments = dict(depth=[1, 2], width=6, weight_ratio=[0.9, 1.1], bias_std=0.1, seed=range(3), epochs=2, batch_size=30, data=small(), dtype=DOUBLE,
                     progress=False)
    ds = train_ensemble(**arguments)
    ds.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    loaded = xr.load_dataset(tmp_path / "run.nc")
    assert loaded.identical(ds) or loaded.equals(ds)
    told = json.loads(loaded.attrs["provenance"])
    assert told["arguments"]["weight_ratio"] == [0.9, 1.1] and told["versions"]["torch"] == torch.__version__
    monkeypatch.setattr("deeplimits._runs.cores", lambda: 1)
    monkeypatch.setattr("deeplimits.training.ensemble.BLOCK_NUMBERS", {"cpu": 1})  # every network in a block of its own
    np.testing.assert_allclose(train_ensemble(**arguments).test_loss, ds.test_loss, rtol=1e-10)


def test_the_readout_may_take_the_standard_deviation_of_its_network():
    arguments = dict(depth=2, width=6, lr=0.1, epochs=1, batch_size=30, data=small(), dtype=DOUBLE, progress=False)
    both = train_ensemble(**arguments, weight_std=[0.7, 1.4], readout_std=None)
    for std in (0.7, 1.4):
        np.testing.assert_allclose(both.test_loss.sel(weight_std=std), train_ensemble(**arguments, weight_std=std, readout_std=std).test_loss, rtol=1e-12)


def test_chosen_epochs_are_recorded():
    arguments = dict(depth=2, width=6, lr=0.1, epochs=4, batch_size=30, data=small(), dtype=DOUBLE, progress=False)
    every, some = train_ensemble(**arguments), train_ensemble(**arguments, record=[4, 1])
    assert some.epoch.values.tolist() == [1, 4]
    np.testing.assert_array_equal(some.train_loss, every.train_loss.sel(epoch=[1, 4]))
    assert train_ensemble(**(arguments | {"epochs": 0})).sizes["epoch"] == 1


# --- interruption -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def interruptible():
    """Python's own answer to an interrupt, which a shell switches off for programs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_keeps_what_is_finished_and_resume_trains_the_rest(interruptible, monkeypatch, tmp_path):
    arguments = dict(depth=[1, 3], width=6, lr=0.1, seed=range(2), epochs=3, batch_size=30, data=small(), dtype=DOUBLE, progress=False)
    whole = train_ensemble(**arguments)
    monkeypatch.setattr("deeplimits._runs.cores", lambda: 1)
    step, seen = Program.step, []

    def watched(self, x, labels):
        seen.append(len(self.weights))
        if len(seen) == 11:  # the deeper networks go first and take nine steps
            _thread.interrupt_main()
            time.sleep(0.3)
        step(self, x, labels)

    monkeypatch.setattr(Program, "step", watched)
    part = train_ensemble(**arguments)
    assert part.attrs["interrupted"] == 1 and part.finished.sum() == 2 and bool(part.finished.sel(depth=3).all())
    np.testing.assert_array_equal(part.train_loss.sel(depth=3), whole.train_loss.sel(depth=3))
    assert np.isfinite(part.train_loss.sel(depth=1, epoch=0)).all() and np.isnan(part.train_loss.sel(depth=1, epoch=3)).all()
    assert not part.diverged.any()  # unfinished is not diverged
    part.to_netcdf(tmp_path / "part.nc", engine="h5netcdf")
    done = len(seen)
    rest = train_ensemble(**arguments, resume=xr.load_dataset(tmp_path / "part.nc"))
    assert set(seen[done:]) == {2} and rest.attrs["interrupted"] == 0 and rest.finished.all()
    np.testing.assert_allclose(rest.train_loss, whole.train_loss, rtol=1e-12)


def test_an_interrupt_before_anything_is_recorded_is_raised(interruptible, monkeypatch):
    def late(self, *_):
        _thread.interrupt_main()
        time.sleep(0.3)
        raise AssertionError("not reached in the result")

    monkeypatch.setattr(Program, "evaluate", late)
    with pytest.raises((KeyboardInterrupt, AssertionError)):
        train_ensemble(1, 4, epochs=1, batch_size=30, data=small(), progress=False)


def test_an_error_in_a_block_is_raised_and_threads_are_restored(monkeypatch):
    threads, alive = torch.get_num_threads(), threading.active_count()
    monkeypatch.setattr(Program, "step", lambda self, x, labels: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_ensemble(1, 4, seed=range(4), epochs=1, batch_size=30, data=small(), progress=False)
    assert torch.get_num_threads() == threads and threading.active_count() == alive


# --- arguments ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrong", "words"), [
    ({"depth": 0}, "depth must be a whole number of at least 1; got 0"),
    ({"width": [4, 4]}, "width must hold different values"),
    ({"seed": []}, "seed must hold at least one value"),
    ({"lr": -1.0}, "lr must be positive; got -1.0"),
    ({"activation": "tahn"}, "activation must be one of 'relu'"),
    ({"weight_std": 0.0}, "weight_std must be positive or one of"),
    ({"weight_std": "torch"}, "weight_std must be positive or one of"),
    ({"weight_std": 1.0, "weight_ratio": 1.0}, "weight_std or weight_ratio, not both"),
    ({"activation": "softplus", "weight_ratio": 1.0}, "to have an edge of chaos"),
    ({"batch_size": 91}, "batch_size must be at most the number of training examples, 90; got 91"),
    ({"record": [7]}, "record must hold whole numbers between 0 and 1"),
    ({"optimizer": "lbfgs"}, "optimizer must be one of 'sgd', 'adam'"),
    ({"networks": []}, "networks must hold at least one network"),
    ({"networks": [{"deep": 3}]}, "networks: a key must be one of"),
    ({"networks": [{"depth": 3}], "seed": [1, 2]}, "got a list for seed"),
    ({"readout_std": 0}, "readout_std must be positive"),
    ({"data": (1, 2)}, "data must be"),
])
def test_errors_name_the_argument(wrong, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        train_ensemble(**({"depth": 1, "width": 4, "epochs": 1, "batch_size": 30, "data": small(), "progress": False} | wrong))


def test_errors_of_data_and_resume():
    (x, y), test = small()
    with pytest.raises(ValueError, match="data: y must hold one whole label"):
        train_ensemble(1, 4, data=((x, y[:-1]), test))
    with pytest.raises(ValueError, match="data: x_test must have shape"):
        train_ensemble(1, 4, data=((x, y), (test[0][:, :2], test[1])))
    with pytest.raises(TypeError, match="float32 or float64"):
        train_ensemble(1, 4, data=((x.int(), y), test))
    ds = train_ensemble(1, 4, epochs=1, batch_size=30, data=((x, y), test), progress=False)
    with pytest.raises(ValueError, match="resume must be a result of train_ensemble with the same arguments"):
        train_ensemble(1, 4, epochs=2, batch_size=30, data=((x, y), test), resume=ds)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_no_tensor_is_made_without_a_device(optimizer):
    data = small()
    with no_implicit_device():
        starts = [starting_layers(2, 4, "erf", 1.0, 0.1, "gaussian", s, 7, 3, 1.0) for s in range(2)]
        program = Program(starts, dl.activations.get("erf"), [0.1, 0.2], optimizer, DOUBLE, torch.device("cpu"))
        program.step(data[0][0][:10].expand(2, -1, -1), data[0][1][:10].expand(2, -1))
        loss, _ = program.evaluate(*data[1])
    assert loss.shape == (2,)

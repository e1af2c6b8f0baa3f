"""Whole runs: batches of seeds, provenance, interruption, checkpoints and bad arguments."""

from __future__ import annotations

import _thread
import json
import signal

import numpy as np
import pytest
import torch
import xarray as xr

from deeplimits import masking
from tests.support import no_implicit_device

X, Y = masking.random_task(20, 10)
GOOD = dict(X=X, y=Y, width=60, subnetworks=4, local_steps=1, keep=0.5, lr=0.1, rounds=12, progress=False)


def run(**change):
    return masking.train(**{**GOOD, **change})


@pytest.mark.parametrize("change", [dict(), dict(local_steps=3), dict(masks="partition", keep=None, lr=0.05), dict(gates="frozen"), dict(unselected="zero")])
def test_seeds_are_trained_as_if_alone(change):
    both = run(seed=[3, 8], **change)
    assert dict(both.error.sizes) == {"seed": 2, "round": 13}
    for seed in (3, 8):
        alone = run(seed=seed, **change)
        np.testing.assert_allclose(both.weights.sel(seed=seed), alone.weights[0], atol=2e-5)
        np.testing.assert_allclose(both.error.sel(seed=seed), alone.error[0], rtol=2e-4)


def test_recorded_numbers_are_those_of_the_weights():
    points, labels = masking.random_task(7, 10, seed=1)
    ds = run(test=(points, labels))
    W, a = torch.as_tensor(ds.weights.values[0]), torch.as_tensor(ds.signs.values[0])
    active, seen = torch.relu(X @ W.T), torch.relu(points @ W.T) @ a / 60**0.5
    assert float(ds.error[0, -1]) == pytest.approx(float((active @ a / 60**0.5 - Y).square().sum()), rel=1e-5)
    assert float(ds.power[0, -1]) == pytest.approx(float(active.square().sum() / 60), rel=1e-5)
    assert float(ds.test_error[0, -1]) == pytest.approx(float((seen - labels).square().mean()), rel=1e-4)
    assert float(ds.accuracy[0, -1]) == pytest.approx(float((seen * labels > 0).float().mean()))
    start, signs = masking.initial_weights(60, 10, 0)
    assert torch.equal(signs, a) and float(ds.power[0, 0]) == pytest.approx(float(torch.relu(X @ start.T).square().sum() / 60), rel=1e-5)


def test_results_carry_provenance_and_go_through_netcdf(tmp_path):
    ds = run(seed=[1, 2])
    provenance = json.loads(ds.attrs["provenance"])
    assert provenance["arguments"]["subnetworks"] == 4 and provenance["arguments"]["seed"] == [1, 2] and "torch" in provenance["versions"]
    ds.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "run.nc", engine="h5netcdf"), ds)


@pytest.fixture
def interruptible():
    """Python's own answer to an interrupt, which a shell switches off for programs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("change", [dict(), dict(masks="partition", keep=None, local_steps=2, lr=0.02)])
def test_an_interruption_loses_nothing(change, interruptible, tmp_path, monkeypatch):
    file, whole = tmp_path / "run.nc", run(rounds=40, **change)
    draw = masking.MaskLaw.draw

    def interrupt(law, seed, round):
        if round == 17:
            _thread.interrupt_main()
        return draw(law, seed, round)

    monkeypatch.setattr(masking.MaskLaw, "draw", interrupt)
    part = run(rounds=40, checkpoint=file, **change)
    monkeypatch.undo()
    done = part.sizes["round"] - 1
    assert part.attrs["interrupted"] == 1 and 17 <= done <= 18
    np.testing.assert_array_equal(part.error, whole.error[:, :done + 1])
    rest = run(rounds=40, checkpoint=file, **change)
    assert rest.attrs["interrupted"] == 0
    np.testing.assert_array_equal(rest.weights, whole.weights)
    np.testing.assert_array_equal(rest.error, whole.error)
    longer = run(rounds=45, checkpoint=file, **change)
    np.testing.assert_array_equal(longer.weights, run(rounds=45, **change).weights)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    run(checkpoint=tmp_path / "run.nc", every=4)
    with pytest.raises(ValueError, match=r"belongs to another run: lr was 0.1 and is 0.05"):
        run(checkpoint=tmp_path / "run.nc", lr=0.05)
    with pytest.raises(ValueError, match="samples was"):
        run(checkpoint=tmp_path / "run.nc", y=-Y)


def test_a_run_that_diverges_below_the_bound_says_so():
    with pytest.raises(FloatingPointError, match=r"diverged before round .*2 neurons has a larger kernel"):
        masking.train(X, Y, 8, 1, 10, 0.25, 0.34, rounds=200, gates="frozen", progress=False)


def test_measured_floor():
    ds = run(seed=[0, 1, 2], rounds=30)
    found = masking.floor(ds, 0.5)
    means = ds.error.isel(round=slice(16, None)).mean("round")
    assert found.value == pytest.approx(float(means.mean()), rel=1e-6)
    assert found.se == pytest.approx(float(means.std(ddof=1)) / 3**0.5, rel=1e-4)
    assert masking.floor(run()).se == float("inf")
    with pytest.raises(ValueError, match="last must lie in"):
        masking.floor(ds, 0.0)


@pytest.mark.parametrize("route", ["auto", "einsum"])
@pytest.mark.parametrize("local_steps", [1, 2])
def test_no_tensor_is_made_without_a_device(route, local_steps):
    with no_implicit_device():
        run(rounds=2, route=route, local_steps=local_steps, test=(X, Y))
        masking.predicted_error(X, subnetworks=2, local_steps=2, keep=None, lr=0.05, masks="partition", width=10)


@pytest.mark.parametrize(("change", "error", "words"), [
    (dict(X=X.tolist()), TypeError, "X must be a torch tensor"),
    (dict(X=X[0]), ValueError, r"X must have shape \(n, d\)"),
    (dict(y=Y[:5]), ValueError, r"y must have shape \(20,\)"),
    (dict(y=Y * float("nan")), ValueError, "y must be finite"),
    (dict(width=0), ValueError, "width must be a whole number of at least 1; got 0"),
    (dict(subnetworks=0), ValueError, "subnetworks must be"),
    (dict(local_steps=1.5), TypeError, "local_steps must be a whole number"),
    (dict(keep=0), ValueError, r"keep must lie in \(0, 1\]"),
    (dict(keep=1.01), ValueError, r"keep must lie in \(0, 1\]"),
    (dict(masks="partition", keep=None, subnetworks=7), ValueError, "width must be a multiple of subnetworks=7"),
    (dict(lr=-1), ValueError, "lr must be positive"),
    (dict(lr=5.0), ValueError, "lr must be below .* the stability bound is theta lr lambda_max/keep < 2"),
    (dict(lr=5.0, scale=1.0, subnetworks=8, local_steps=2), ValueError, r"lr scale\^2 keep lambda_max < 2 for several"),
    (dict(rounds=0), ValueError, "rounds must be"),
    (dict(seed=[1, 1]), ValueError, "seed must be a number or several different ones"),
    (dict(seed=-1), ValueError, "seed must be"),
    (dict(entry_std=0.0), ValueError, "entry_std must be positive"),
    (dict(scale=0.0), ValueError, "scale must be positive"),
    (dict(unselected="lost"), ValueError, "unselected must be one of 'unchanged', 'zero'"),
    (dict(gates="shut"), ValueError, "gates must be one of"),
    (dict(route="fast"), ValueError, "route must be one of"),
    (dict(route="shared", local_steps=2), ValueError, "route='shared' holds for local_steps=1"),
    (dict(test=(X[:, :3], Y)), ValueError, r"test\[0\] must have last dimension 10"),
])
def test_bad_arguments_say_what_would_work(change, error, words):
    with pytest.raises(error, match=words):
        run(**change)


def test_tasks():
    points, labels = masking.digits_task(50)
    assert points.shape == (50, 64) and torch.allclose(points.norm(dim=1), torch.ones(50)) and set(labels.tolist()) == {-1.0, 1.0}
    with pytest.raises(ValueError, match="n must be at most 450"):
        masking.digits_task(451, "test")


@pytest.mark.statement("prop-dropout-in-depth")
def test_depth_averages_the_masks():
    for units in ("neurons", "layers"):
        found = [masking.dropout_in_depth(L, 16, 0.5, units=units, samples=200) for L in (16, 64, 256)]
        assert all(x.value + 4 * x.se < x.bound for x in found)
        slope = np.polyfit(np.log([16, 64, 256]), np.log([x.value for x in found]), 1)[0]
        assert slope == pytest.approx(-1, abs=0.3)
    wide = masking.dropout_in_depth(64, 256, 0.5, samples=200).value
    assert wide < 0.2 * masking.dropout_in_depth(64, 16, 0.5, samples=200).value
    assert masking.dropout_in_depth(64, 256, 0.5, units="layers", samples=200).value > 4 * wide
    with pytest.raises(ValueError, match=r"keep must lie in \(0, 1\]"):
        masking.dropout_in_depth(4, 4, 0.0)

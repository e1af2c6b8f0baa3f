"""Independent Subnet Training on two processes: the same weights, a lost worker, a checkpoint."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import xarray as xr

from deeplimits import masking
from deeplimits.masking import distributed

RUN = ["--data", "random", "--samples", "20", "--width", "48", "--subnetworks", "4", "--local-steps", "3", "--lr", "0.02", "--seed", "5"]


def torchrun(*arguments, processes=2):
    """The command of the chapter, on a free port; its output and its return code."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k != "GLOO_SOCKET_IFNAME"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment, check=False)


def alone(rounds):
    return masking.train(*masking.random_task(20), 48, 4, 3, None, 0.02, "partition", rounds=rounds, seed=5, progress=False)


@pytest.mark.statement("prop-special-cases")
def test_two_processes_give_the_weights_of_one(tmp_path):
    file = tmp_path / "run.nc"
    done = torchrun("-m", "deeplimits.masking.distributed", *RUN, "--rounds", 15, "--checkpoint", file)
    assert done.returncode == 0, done.stderr
    assert "15 rounds on 2 processes, 4 subnetworks of 12 neurons" in done.stdout and "9 times as many" in done.stdout
    ds, single = xr.load_dataset(file, engine="h5netcdf"), alone(15)
    assert ds.sizes["round"] == 16
    np.testing.assert_allclose(ds.weights, single.weights, atol=1e-5)
    np.testing.assert_allclose(ds.error, single.error, rtol=1e-4)


SCRIPT = """
    import os, signal, sys
    import torch.distributed as dist
    from deeplimits import masking
    from deeplimits.masking import distributed

    distributed.join(timeout=30)
    def after(done):
        if dist.get_rank() == 1 and done == 7:
            os.kill(os.getpid(), signal.SIGKILL)
    try:
        distributed.train(*masking.random_task(20), 48, 4, 3, 0.02, rounds=15, seed=5, checkpoint=sys.argv[1], every=5, progress=False, after_round=after)
    except distributed.WorkerLost as error:
        print(f"LOST {error}", flush=True)
        sys.exit(1)
"""


def test_a_worker_that_dies_is_named_and_the_run_goes_on(tmp_path):
    script, file = tmp_path / "run.py", tmp_path / "run.nc"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    lost = torchrun(script, file)
    assert lost.returncode != 0
    words = r"LOST process 0 of 2 lost the others in round 8, so the run stopped; .*run\.nc holds the first 5 rounds: start the same"
    assert re.search(words, lost.stdout), lost.stdout + lost.stderr
    assert xr.load_dataset(file, engine="h5netcdf").sizes["round"] == 6
    X, y = masking.random_task(20)
    with pytest.raises(ValueError, match=r"belongs to another run: lr was 0\.02 and is 0\.01"):
        distributed.train(X, y, 48, 4, 3, 0.01, rounds=15, seed=5, checkpoint=file)
    rest = distributed.train(X, y, 48, 4, 3, 0.02, rounds=15, seed=5, checkpoint=file, progress=False)  # now on one process
    np.testing.assert_allclose(rest.weights, alone(15).weights, atol=1e-5)
    np.testing.assert_allclose(rest.error, alone(15).error, rtol=1e-4)


def test_one_process_without_a_group_trains_alone():
    X, y = masking.random_task(20)
    ds = distributed.train(X, y, 48, 4, 3, 0.02, rounds=6, seed=5, progress=False)
    np.testing.assert_allclose(ds.weights, alone(6).weights, atol=1e-6)


@pytest.mark.statement("prop-communication")
def test_floats_sent_and_received():
    subnets, parallel = distributed.floats_sent(4000, 64, 8, 10)
    assert parallel / subnets == 70 == (8 - 1) * 10
    assert subnets == 2 * torch.empty(4000 // 8, 64, device="cpu").numel()


def test_bad_calls_say_what_would_work(monkeypatch):
    X, y = masking.random_task(20)
    with pytest.raises(ValueError, match="width must be a multiple of subnetworks=5"):
        distributed.train(X, y, 48, 5, 1, 0.02)
    monkeypatch.setattr(distributed, "_place", lambda: (0, 3))
    with pytest.raises(ValueError, match="subnetworks must be a multiple of the number of processes, 3; got 4"):
        distributed.train(X, y, 48, 4, 1, 0.02)
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RuntimeError, match="start this with torchrun"):
        distributed.join()

"""Two processes do what one does on the joint batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import parallel_run
import pytest
import torch

from vggt_sfm.training import parallel
from vggt_sfm.training.checkpoints import load_snapshot, named
from vggt_sfm.training.curves import read_log

ROUNDING = 1e-5


def test_two_processes_are_one_with_both_batches(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", parallel_run.__file__, str(tmp_path / "two")]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parallel_run.run(tmp_path / "one")
    two, one = load_snapshot(tmp_path / "two"), load_snapshot(tmp_path / "one")
    assert one is not None
    assert two is not None
    for kind in ("model", "average"):
        assert named(two.tensors, kind).keys() == named(one.tensors, kind).keys()
    # after one step, the first moment is a tenth of the gradient
    gradients = named(one.tensors, "exp_avg")
    assert gradients
    for name, gradient in named(two.tensors, "exp_avg").items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-3, atol=ROUNDING)
    for key in ("loss", "gradient"):
        good, bad = ([row[key] for row in read_log(tmp_path / n)] for n in ("one", "two"))
        assert bad[0] == pytest.approx(good[0], rel=1e-4)
        assert np.isnan([bad[1], good[1]]).all()  # spoiled by one process, and left out by both


def test_alone_there_is_nothing_to_average() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    parallel.average_gradients([weight])
    assert weight.grad is None
    assert float(parallel.mean(torch.tensor(3.0))) == 3
    assert (parallel.rank(), parallel.size()) == (0, 1)

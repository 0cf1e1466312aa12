"""A worker without a process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vggt_sfm.benchmarks.bench.worker import WorkFailed
from vggt_sfm.errors import VggtSfmError


class HereWorker:
    """Does the work in this process, where a test has no time for another one."""

    def __init__(self, make: Callable[[], Any], log: Path, timeout_s: float | None) -> None:
        self._threads = torch.get_num_threads()  # other tests want theirs
        self._served = make()

    def call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._served, method)(*arguments)
        except VggtSfmError as error:
            raise WorkFailed(str(error)) from error

    def __enter__(self) -> HereWorker:
        return self

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._threads)

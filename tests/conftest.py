"""Fixtures and markers that all tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import browser
import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from vggt_sfm.benchmarks.goldens import Goldens

# The same examples in every run, and no time limit on a loaded machine.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

# marker -> what it costs; each is skipped unless its option is given
OPT_IN = {
    "slow": "takes more than a few seconds",
    "gpu": "needs a CUDA device",
    "network": "needs the internet",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for marker, reason in OPT_IN.items():
        parser.addoption(f"--run-{marker}", action="store_true", help=f"run tests: {reason}")


def pytest_configure(config: pytest.Config) -> None:
    for marker, reason in OPT_IN.items():
        config.addinivalue_line("markers", f"{marker}: {reason}")
    config.addinivalue_line("markers", "browser: opens pages; skipped where there is no Chromium")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    no_browser = browser.missing()
    for item in items:
        if no_browser and item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason=no_browser))
        for marker, reason in OPT_IN.items():
            if item.get_closest_marker(marker) and not config.getoption(f"--run-{marker}"):
                item.add_marker(pytest.mark.skip(reason=f"{reason}: --run-{marker}"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hide viser where sockets are blocked: the 3D scene of a report is made through one."""
    may_listen = any(map(item.get_closest_marker, ("allow_hosts", "enable_socket")))
    if not may_listen:
        sys.modules["viser"] = None  # type: ignore[assignment]  # what import and find_spec respect
    elif sys.modules.get("viser", item) is None:
        del sys.modules["viser"]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with the specification, its goldens and the data sets, or skip the test."""
    default = Path(__file__).resolve().parents[1].parent / "shared"
    folder = Path(os.environ.get("VGGT_SFM_SHARED", default))
    if not folder.is_dir():
        pytest.skip("no shared folder; set VGGT_SFM_SHARED")
    return folder


@pytest.fixture(scope="session")
def golden_dir(shared_dir: Path) -> Path:
    """The specification's golden files."""
    return shared_dir / "spec" / "golden"


@pytest.fixture(scope="session")
def small_goldens(golden_dir: Path) -> Goldens:
    from vggt_sfm.benchmarks.goldens import Goldens  # with torch, which few tests need

    return Goldens(golden_dir, "small.npz")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that is the same in every run."""
    return np.random.default_rng(0)

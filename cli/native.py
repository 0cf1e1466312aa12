"""Native libraries: what to install where one is missing, and how to keep them quiet."""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal

# What the wheels need from the system and a bare machine does not have.
_PACKAGE_OF = {
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb.so.1": "libxcb1",
    "libX11.so.6": "libx11-6",
    "libgomp.so.1": "libgomp1",
    "libSM.so.6": "libsm6",
    "libXext.so.6": "libxext6",
}
_GLOG_ERROR = 2


def missing_library(message: str) -> str | None:
    """Return how to install the shared library that an ImportError misses, if it misses one."""
    found = re.search(r"(lib\S+\.so\S*): cannot open shared object file", message)
    if not found:
        return None
    library = found.group(1)
    if library not in _PACKAGE_OF:
        return f"install the system package that contains {library}"
    # A machine that lacks one of the two that OpenCV wants mostly lacks both.
    packages = {_PACKAGE_OF[library], "libgl1", "libglib2.0-0"}
    return f"apt-get install {' '.join(sorted(packages))}"


def let_waiting_threads_sleep() -> None:
    """Keep torch's threads from spinning where another program needs their cores.

    GNU OpenMP spins for seconds by default: with two threads and one other busy process on two
    cores, a prediction of 8 photographs took 70 s instead of 4, and on idle cores as long as with
    this. Has no effect after torch is imported; what the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def settle_native_libraries(level: int) -> None:
    """Import pycolmap and pyceres and undo what the import does to the process.

    Their logs stay quiet unless ``level`` is DEBUG. They also install a handler that answers
    SIGTERM with a stack trace and was seen to hang in it; the system's answer comes back.
    """
    for name in ("pycolmap", "pyceres"):
        module = importlib.import_module(name)
        module.logging.minloglevel = 0 if level <= logging.DEBUG else _GLOG_ERROR
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

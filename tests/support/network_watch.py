"""Notes whatever Python code does with the network, whoever wrote it, and lets none of it happen.

Tests that use it carry ``pytest.mark.enable_socket``: it takes the place of pytest-socket, which
would stop the code before it can be seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_watchers: list[list[str]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _watchers and event.startswith("socket.") and event != "socket.gethostname":
        _watchers[-1].append(event)
        raise OSError("no network in this test")


sys.addaudithook(_hook)  # for good: there is no way to remove one


@contextmanager
def watched() -> Iterator[list[str]]:
    """Yield the list of events, such as ``socket.__new__``."""
    events: list[str] = []
    _watchers.append(events)
    try:
        yield events
    finally:
        _watchers.remove(events)

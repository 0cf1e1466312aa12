"""One browser for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import browser
import pytest


@pytest.fixture(scope="package", autouse=True)
def shared_browser() -> Iterator[None]:
    """End the browser after the last of these tests: its event loop is in no other one's way."""
    yield
    browser.close_browser()

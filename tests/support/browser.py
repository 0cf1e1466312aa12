"""A headless Chromium that opens pages and notes what goes wrong in them.

Tests in ``tests/browser`` use it as::

    with browsing(color_scheme="dark") as page:
        page.open(path_of_a_file_or_url)
        page.screenshot(tmp_path / "page.png")
        assert page.errors == []
        assert page.outside == []

The browser is started once and shared by the tests of the folder; each ``with`` has a page of its
own. It is the system's Chromium: the one that ``CHROMIUM`` names, or one on the PATH. Such tests
carry ``pytest.mark.browser``; those that serve a page also ``pytest.mark.allow_hosts(LOCAL)``.
"""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

ColorScheme = Literal["light", "dark"]
UInt8 = NDArray[np.uint8]

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# WebGL without a graphics card; without a sandbox, because tests run as root in containers.
_ARGUMENTS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader")
_ARGUMENTS += ("--enable-unsafe-swiftshader",)
_INSIDE_SCHEMES = ("file", "data", "blob", "about")
_INSIDE_HOSTS = ("127.0.0.1", "localhost", "::1")
LOCAL = ["127.0.0.1"]
"""For ``pytest.mark.allow_hosts``: sockets to this machine, and to no other."""
_TIMEOUT_MS = 60_000  # software rendering on a busy machine


def chromium() -> str | None:
    """Return the path of the browser, or None where there is none."""
    named = os.environ.get("CHROMIUM")
    found = (shutil.which(program) for program in ((named,) if named else _PROGRAMS))
    return next((path for path in found if path), None)


def missing() -> str | None:
    """Return what browser tests lack on this machine, or None."""
    if importlib.util.find_spec("playwright") is None:
        return "needs playwright: pip install playwright"
    if chromium() is None:
        return "needs a Chromium: install chromium, or name the program in CHROMIUM"
    return None


class BrowserPage:
    """One page and what it has complained about and asked for since it was made."""

    def __init__(self, page: Page) -> None:
        self.page = page
        """Playwright's page, for whatever has no method here."""
        self.errors: list[str] = []
        """Errors on the console, and exceptions that nothing in the page has caught."""
        self.outside: list[str] = []
        """URLs of requests that leave this machine, whether answered or not."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))
        page.on("websocket", lambda socket: self._note(socket.url))

    def open(self, where: Path | str) -> None:
        """Load a file or a URL and wait for the page's load event."""
        url = where.resolve().as_uri() if isinstance(where, Path) else where
        self.page.goto(url, wait_until="load", timeout=_TIMEOUT_MS)

    def screenshot(self, path: Path | None = None, *, full: bool = False) -> UInt8:
        """Return (H, W, 3) pixels of what is seen, and write them to a PNG if a path is given.

        Args:
            path: Where to write.
            full: The whole page, not only what fits the window.
        """
        png = self.page.screenshot(path=path, full_page=full, timeout=_TIMEOUT_MS)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def wait_until(self, holds: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Let the page go on until something holds, which is asked about ten times a second.

        Raises:
            AssertionError: If it does not hold in time.
        """
        end = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < end, f"{what}: not within {timeout_s} s"
            self.page.wait_for_timeout(100)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')[:200]})")

    def _note(self, request: str) -> None:
        url = urlsplit(request)
        if url.scheme not in _INSIDE_SCHEMES and url.hostname not in _INSIDE_HOSTS:
            self.outside.append(request)


class _Shared:
    """The browser that all tests use."""

    playwright: Playwright | None = None
    browser: Browser | None = None


@contextmanager
def browsing(
    color_scheme: ColorScheme = "light", size: tuple[int, int] = (1280, 800)
) -> Iterator[BrowserPage]:
    """Give a fresh page: no cookies, no cache, no other page's storage.

    Args:
        color_scheme: What the page is told people prefer.
        size: Width and height of the window, px.
    """
    context = _started().new_context(
        color_scheme=color_scheme,
        viewport={"width": size[0], "height": size[1]},
        reduced_motion="reduce",
    )
    try:
        yield BrowserPage(context.new_page())
    finally:
        context.close()


def close_browser() -> None:
    """End the shared browser; the next ``browsing`` starts another one."""
    if _Shared.browser is not None:
        _Shared.browser.close()
    if _Shared.playwright is not None:
        _Shared.playwright.stop()
    _Shared.browser = _Shared.playwright = None


def _started() -> Browser:
    if _Shared.browser is None:
        from playwright.sync_api import sync_playwright

        _Shared.playwright = sync_playwright().start()
        _Shared.browser = _Shared.playwright.chromium.launch(
            executable_path=chromium(), args=list(_ARGUMENTS), timeout=_TIMEOUT_MS
        )
    return _Shared.browser

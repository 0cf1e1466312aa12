"""Log lines and progress: bars for a terminal, lines for a file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from vggt_sfm.cli import console as module
from vggt_sfm.cli.console import BarProgress, ConsoleHandler, LineProgress, open_console


@pytest.fixture(autouse=True)
def _logger() -> Iterator[None]:
    logger = logging.getLogger("vggt_sfm")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers, logger.level = handlers, level


def test_lines_come_at_intervals_and_never_for_quick_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    out = StringIO()
    with LineProgress(Console(file=out)).task("matching", 100) as task:
        for _ in range(40):
            now[0] += 1.0
            task.advance(2)
    assert out.getvalue().splitlines() == [f"matching: {done} of 100" for done in (20, 40, 60, 80)]


def test_bars_may_be_open_together_and_leave_nothing_behind() -> None:
    out = StringIO()
    bars = BarProgress(Console(file=out, force_terminal=True, color_system=None, width=60))
    for _ in range(2):
        before = len(out.getvalue())
        with bars.task("pairs", 3) as outer, bars.task("features", None) as inner:
            outer.advance()
            inner.advance(2)
        shown = out.getvalue()[before:]
        assert "pairs" in shown
        assert "features" in shown
        # At the end the bars are erased and the cursor is back.
        assert "pairs" not in shown.rsplit("\x1b[2K", 1)[1]
        assert shown.rstrip("\r").endswith("\x1b[?25h")


def test_log_lines_are_plain_and_warnings_say_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert isinstance(open_console(logging.INFO), LineProgress)
    open_console(logging.INFO)  # calling it again must not print everything twice
    logger = logging.getLogger("vggt_sfm.somewhere")
    logger.debug("hidden")
    logger.info("[bold]shown as it is[/bold] %d", 42)
    logger.warning("worse")
    captured = capsys.readouterr()
    assert captured.err == "[bold]shown as it is[/bold] 42\nwarning: worse\n"
    assert captured.out == ""
    handlers = logging.getLogger("vggt_sfm").handlers
    assert sum(isinstance(handler, ConsoleHandler) for handler in handlers) == 1

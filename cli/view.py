"""``vggt-sfm view``."""

from __future__ import annotations

import json
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vggt_sfm._log import Progress, get_logger
from vggt_sfm.cli.console import open_console
from vggt_sfm.cli.main import EXIT_INTERRUPTED
from vggt_sfm.cli.native import settle_native_libraries
from vggt_sfm.cli.options import common_options, model_options

if TYPE_CHECKING:
    from vggt_sfm.io.opened import OpenedModel

_logger = get_logger(__name__)

_NAP_S = 3600.0


@click.command("view")
@model_options
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 lets everyone on the network look.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 is any free one.  [default: 8080, or the next free one]",
)
@click.option("--open/--no-open", "opens", help="Open a browser.  [default: off]")
@click.option(
    "--static",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the scene to one HTML file, without controls, instead of serving it.",
)
@common_options
def command(
    folder: Path,
    images: Path | None,
    host: str,
    port: int | None,
    opens: bool,
    static: Path | None,
    as_json: bool,
    level: int,
) -> int:
    """Look at a model in the browser.

    FOLDER is the output of reconstruct, or holds a COLMAP model of whatever origin. The page is
    served until Ctrl-C, and asks nothing of any other server.
    """
    progress = open_console(level)
    from vggt_sfm.viewer.server import check_installed

    check_installed()  # before a large model is read for nothing
    settle_native_libraries(level)
    from vggt_sfm.pipelines.opened import open_model

    opened = open_model(folder, images)
    if static is not None:
        return _write(opened, static, progress, opens, as_json)
    return _serve(opened, host, port, progress, opens, as_json)


def _write(opened: OpenedModel, path: Path, progress: Progress, opens: bool, as_json: bool) -> int:
    from vggt_sfm._files import replacing
    from vggt_sfm.pipelines.stage import writing
    from vggt_sfm.viewer.page import static_page

    page = static_page(opened, progress=progress)
    path = path.absolute()
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    _logger.info("wrote %s, %.1f MB", path, len(page) / 1e6)
    _tell(str(path), path.as_uri(), opens, as_json)
    return 0


def _serve(
    opened: OpenedModel,
    host: str,
    port: int | None,
    progress: Progress,
    opens: bool,
    as_json: bool,
) -> int:
    from vggt_sfm.viewer.live import serve

    with serve(opened, host, port, progress=progress) as viewer:
        _logger.info("%s  (Ctrl-C ends it)", viewer.url)
        _tell(viewer.url, viewer.url, opens, as_json)
        try:
            _wait()
        except KeyboardInterrupt:
            _logger.info("stopped")
    # Not an error that --json would have to tell of: this is how it ends.
    return EXIT_INTERRUPTED


def _tell(said: str, url: str, opens: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"ok": True, "schema": 1, "url": said}))
    if opens:
        webbrowser.open(url)


def _wait() -> None:
    """Wait for Ctrl-C, in naps because nothing longer can be interrupted everywhere."""
    while True:
        time.sleep(_NAP_S)

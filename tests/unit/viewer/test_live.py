"""The live viewer and the static page without a browser: what controls do, and how it ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import LOCAL
from viewed import incomplete, opened_room

from vggt_sfm.errors import CapabilityError
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.viewer.live import serve
from vggt_sfm.viewer.page import static_page
from vggt_sfm.viewer.server import address_url

pytestmark = pytest.mark.allow_hosts(LOCAL)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedModel:
    return opened_room(tmp_path_factory.mktemp("photos"))


def _wait_until(holds: Callable[[], bool]) -> None:
    """Controls answer from threads of their own."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_controls_choose_what_is_shown(opened: OpenedModel) -> None:
    with serve(opened, port=0) as viewer:
        controls, scene = viewer.controls, viewer.scene
        assert viewer.shown.dense == (scene.dense.rank >= 0.3).sum()
        controls._percentile.value = 80  # type: ignore[misc]
        _wait_until(lambda: viewer.shown.dense == (scene.dense.rank >= 0.8).sum())
        controls._track_length.value = 3  # type: ignore[misc]
        _wait_until(lambda: viewer.shown.sparse == (scene.sparse.track_length >= 3).sum() > 0)
        controls._sets.value = "sparse"  # type: ignore[misc]
        _wait_until(lambda: viewer.shown.dense == 0)
        assert viewer.server.scene.get_handle_by_name("/points/dense") is None
        controls._states.value = "before adjustment"  # type: ignore[misc]
        _wait_until(lambda: viewer.shown.cameras == 0)
        assert viewer.shown.sparse == 0
        assert viewer.shown.before > 0
        assert viewer.shown.cameras_before == 3
        node = viewer.server.scene.get_handle_by_name("/cameras")
        assert node is not None
        assert not node.visible
        controls._point_scale.value = 2.0  # type: ignore[misc]
        cloud = viewer.server.scene.get_handle_by_name("/points/before adjustment")
        _wait_until(lambda: cloud.point_size == pytest.approx(2 * scene.distance / 300))
        assert not viewer.server.scene.world_axes.visible


def test_photographs_are_picked_by_name(opened: OpenedModel) -> None:
    with serve(opened, port=0) as viewer:
        assert viewer.photos.picked == "a.png"
        first = viewer.photos._picture.content
        viewer.photos._names.value = "c.png"  # type: ignore[misc]
        _wait_until(lambda: "c.png" in viewer.photos._facts.content)
        _wait_until(lambda: viewer.photos._picture.content != first)
        photo = viewer.photos._picture.content
        viewer.photos._mix.value = 1.0  # type: ignore[misc]
        _wait_until(lambda: viewer.photos._picture.content != photo)


def test_any_part_of_a_model_may_be_missing(opened: OpenedModel) -> None:
    for name, each in incomplete(opened).items():
        with serve(each, port=0) as viewer:
            assert viewer.shown.cameras == len(each.images()), name
        assert "__VISER_EMBED_DATA__" in static_page(each), name


def test_names_that_are_no_paths_of_a_scene_tree(tmp_path: Path) -> None:
    opened = opened_room(tmp_path, ("a/橋.png", "a/b/橋.png", "a/<b>&.png"))
    with serve(opened, port=0) as viewer:
        assert viewer.shown.cameras == 3
        assert "a/&lt;b&gt;&amp;.png" in viewer.photos._facts.content


def test_nothing_is_left_running(opened: OpenedModel, capsys: pytest.CaptureFixture[str]) -> None:
    before = threading.active_count()
    static_page(opened)
    with serve(opened, port=0) as viewer:
        host, port = viewer.server.get_host(), viewer.server.get_port()
        socket.create_connection((host, port), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port), timeout=5)
    _wait_until(lambda: threading.active_count() <= before)
    assert capsys.readouterr().out == ""


def test_taken_port_is_an_error_even_without_the_command_line(opened: OpenedModel) -> None:
    with (
        serve(opened, port=0) as viewer,
        pytest.raises(CapabilityError, match="choose another one with --port"),
    ):
        serve(opened, port=viewer.server.get_port())


def test_urls_are_those_of_this_machine() -> None:
    assert address_url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert address_url("0.0.0.0", 81) == "http://127.0.0.1:81"
    assert address_url("::1", 82) == "http://[::1]:82"

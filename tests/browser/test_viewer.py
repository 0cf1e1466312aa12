"""The live viewer and the static page, in a real browser."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser import LOCAL, BrowserPage, browsing
from viewed import opened_room

from vggt_sfm.geometry.rigid import rotation_from_quat_xyzw
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.viewer.drawing import frustum_depth
from vggt_sfm.viewer.live import LiveViewer, serve
from vggt_sfm.viewer.page import static_page

if TYPE_CHECKING:
    import viser

pytestmark = [pytest.mark.browser, pytest.mark.allow_hosts(LOCAL)]

MOST_POINTS = 6_000
WINDOW = (800, 500)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedModel:
    return opened_room(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def viewer(opened: OpenedModel) -> Iterator[LiveViewer]:
    with serve(opened, port=0, max_points=MOST_POINTS) as viewer:
        yield viewer


def _colours(page: BrowserPage) -> int:
    """Count the colours of the scene's part of the window: left of the panel, below the notice."""
    scene = page.screenshot()[200:, :380] // 16
    return len(np.unique(scene.reshape(-1, 3), axis=0))


def test_controls_reach_python_and_what_they_change_is_seen(viewer: LiveViewer) -> None:
    with browsing(size=WINDOW) as page:
        page.open(viewer.url)
        page.wait_until(lambda: _colours(page) > 50, "points and photographs are drawn")
        first = viewer.shown
        assert (first.sparse, first.before) == (300, 0)
        assert (first.cameras, first.cameras_before) == (3, 0)
        assert 0.68 < first.dense / (MOST_POINTS - 2 * first.sparse) < 0.72

        slider = page.page.get_by_role("slider").first
        slider.focus()
        slider.press("End")
        page.wait_until(lambda: viewer.shown.dense < 0.03 * first.dense, "only the surest are left")
        page.page.get_by_role("combobox", name="cameras").click()
        page.page.get_by_role("option", name="both").click()
        page.wait_until(lambda: viewer.shown.cameras_before == 3, "earlier cameras are added")
        assert viewer.shown.before == viewer.shown.sparse == 300
        page.page.get_by_text("before adjustment", exact=True).first.wait_for(timeout=5000)
        assert page.errors == []
        assert page.outside == []


def test_click_on_a_camera_shows_its_photograph_and_moves_the_view(viewer: LiveViewer) -> None:
    viewer.photos.pick(1)
    with browsing("dark", WINDOW) as page:
        page.open(f"{viewer.url}?darkMode")
        page.wait_until(lambda: _colours(page) > 50, "points and photographs are drawn")
        (client,) = viewer.server.get_clients().values()
        target = viewer.scene.cameras[0]
        x, y = _seen_at(client, target.center + frustum_depth(viewer.scene) * target.forward)
        page.page.mouse.click(x, y)
        page.wait_until(lambda: viewer.photos.picked == "a.png", "the photograph is picked")
        page.wait_until(
            lambda: bool(np.allclose(client.camera.position, target.center, atol=1e-3)),
            "the view moves",
        )
        assert client.camera.fov == pytest.approx(target.fov_y_rad, abs=1e-6)
        page.page.get_by_role("cell", name="a.png").wait_for(timeout=5000)
        assert page.errors == []


def test_static_page_is_a_file_that_draws_the_scene(opened: OpenedModel, tmp_path: Path) -> None:
    text = static_page(opened, MOST_POINTS)
    assert text == static_page(opened, MOST_POINTS)
    assert len(text) < 3e6
    path = tmp_path / "Szene ä.html"
    path.write_text(text, encoding="utf-8")
    backgrounds = []
    for scheme in ("light", "dark"):
        with browsing(scheme, WINDOW) as page:
            page.open(path)
            page.wait_until(lambda page=page: _colours(page) > 50, "points are drawn")
            backgrounds.append(page.screenshot()[-1, -1].mean())
            assert page.errors == []
            assert page.outside == []
    assert backgrounds[0] > 200 > 100 > backgrounds[1]


def test_static_page_fits_into_another_page(opened: OpenedModel, tmp_path: Path) -> None:
    inner = html.escape(static_page(opened, 3000), quote=True)
    path = tmp_path / "report.html"
    frame = f'<iframe srcdoc="{inner}" style="border:0;width:100%;height:680px"></iframe>'
    path.write_text(f"<!doctype html><meta charset=utf-8>{frame}", encoding="utf-8")
    with browsing(size=WINDOW) as page:
        page.open(path)
        page.wait_until(lambda: _colours(page) > 50, "points are drawn")
        assert page.errors == []
        assert page.outside == []


def _seen_at(client: viser.ClientHandle, xyz: np.ndarray) -> tuple[float, float]:
    """Return where in the window a reader sees a place; the scene starts at its corner."""
    camera = client.camera
    wxyz = camera.wxyz
    rotation = rotation_from_quat_xyzw(np.roll(wxyz, -1))
    x, y, z = rotation.T @ (xyz - camera.position)
    focal = camera.image_height / 2 / np.tan(camera.fov / 2)
    return camera.image_width / 2 + focal * x / z, camera.image_height / 2 + focal * y / z

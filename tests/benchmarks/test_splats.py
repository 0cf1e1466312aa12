"""Novel views from Gaussians: training, the split, the rows, the command and its controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation
from splatted import camera_at, some_gaussians, turned_pose

from vggt_sfm.benchmarks.splats import __main__ as splats
from vggt_sfm.benchmarks.splats.cameras import ADJUSTED, FEED_FORWARD, PYCOLMAP, WAYS, Cameras
from vggt_sfm.benchmarks.splats.render import Camera, Gaussians, render
from vggt_sfm.benchmarks.splats.rows import Log, Row, Settings, gains, held_out_psnr, scored, table
from vggt_sfm.benchmarks.splats.scene import (
    SplatScene,
    View,
    first_gaussians,
    held_out,
    scene_of,
)
from vggt_sfm.benchmarks.splats.train import TrainConfig, drawn_views, psnr, train
from vggt_sfm.errors import GateError, InputError

ROUNDING = 1e-9  # of float64, over sums of a few dozen Gaussians
RECOVERED_DB = 30.0


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def photographed(gaussians: Gaussians, poses: list[NDArray[np.float64]]) -> tuple[View, ...]:
    found = []
    for s, pose in enumerate(poses):
        camera = camera_at(pose, 48, 32)
        image = render(gaussians, camera, torch.zeros(3)).numpy().astype(np.float32)
        found.append(
            View(
                name=f"{s:02d}.jpg",
                camera=camera,
                image=image,
                valid=np.ones((32, 48), bool),
                points=gaussians.means.numpy().astype(np.float64),
            )
        )
    return tuple(found)


def on_an_arc(count: int) -> list[NDArray[np.float64]]:
    poses = []
    for angle in np.linspace(-12, 12, count):
        turn = Rotation.from_euler("y", angle, degrees=True).as_matrix()
        middle = np.array([0, 0, 2.2])
        poses.append(np.column_stack([turn, middle - turn @ middle]))
    return poses


def test_known_gaussians_are_recovered_and_wrong_cameras_are_noticed() -> None:
    truth = some_gaussians(40, 5)
    views = photographed(truth, on_an_arc(7))
    config = TrainConfig(gaussians=200, iterations=100)
    found = {}
    for error_deg in (0.0, 2.0):
        rng = np.random.default_rng(2)
        seen = []
        for view in views:
            turn = Rotation.from_rotvec(np.radians(error_deg) * _unit(rng)).as_matrix()
            camera = replace(view.camera, cam_from_world=turn @ view.camera.cam_from_world)
            seen.append(replace(view, camera=camera))
        scene = SplatScene(train=tuple(seen[:3] + seen[4:]), test=(seen[3],))
        drawn = drawn_views(train(scene, config, 0), scene.test, config)
        found[error_deg] = psnr(drawn[0], scene.test[0])
    assert found[0.0] > RECOVERED_DB
    assert found[2.0] < found[0.0] - 3


def _unit(rng: np.random.Generator) -> NDArray[np.float64]:
    axis = rng.normal(size=3)
    return np.asarray(axis / np.linalg.norm(axis))


def test_pixels_that_the_photograph_does_not_cover_do_not_count() -> None:
    view = photographed(some_gaussians(5, 0), [np.eye(3, 4)])[0]
    drawn = view.image.copy()
    drawn[:, 24:] += 0.5
    right = np.zeros_like(view.valid)
    right[:, 24:] = True
    assert psnr(drawn, replace(view, valid=~right)) == pytest.approx(100)
    assert psnr(drawn, replace(view, valid=right)) == pytest.approx(-20 * np.log10(0.5), abs=1e-4)


def test_pixels_are_lifted_onto_the_plane_that_sparse_points_show() -> None:
    rng = np.random.default_rng(4)
    xy = rng.uniform(-2.5, 2.5, (900, 2))
    points = np.column_stack([xy, 3 + 0.1 * xy[:, 0] - 0.2 * xy[:, 1]])
    camera = camera_at(turned_pose(), 48, 32)
    inside = _in_view(camera, points)
    view = View(
        name="a",
        camera=camera,
        image=np.zeros((32, 48, 3), np.float32),
        valid=np.ones((32, 48), bool),
        points=points,
    )
    first = first_gaussians(SplatScene(train=(view,), test=()), 300, rng)
    assert first.xyz.shape == (300, 3)
    off = first.xyz[:, 2] - (3 + 0.1 * first.xyz[:, 0] - 0.2 * first.xyz[:, 1])
    assert inside > 50
    # exact inside the hull of what is seen, but for depths clipped to the middle percentiles
    assert np.median(np.abs(off)) < ROUNDING
    assert np.abs(off).max() < 0.5
    deepest = (first.xyz @ camera.cam_from_world[2, :3] + camera.cam_from_world[2, 3]).max()
    assert first.size.max() <= deepest * np.sqrt(48 * 32 / 300) / 48 / 2 + ROUNDING  # half a cell


def _in_view(camera: Camera, points: NDArray[np.float64]) -> int:
    seen = points @ camera.cam_from_world[:, :3].T + camera.cam_from_world[:, 3]
    xy = (seen @ camera.intrinsics.T)[:, :2] / seen[:, 2:]
    return int(((xy > 0) & (xy < [camera.width, camera.height])).all(axis=1).sum())


def test_every_eighth_view_is_held_out() -> None:
    names = [f"{s:04d}.jpg" for s in range(11)]
    assert held_out(names[::-1], 0) == ["0000.jpg", "0008.jpg"]
    assert held_out(names, 4) == ["0004.jpg"]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cameras, dict[str, Path]]:
    """A model of ten images, and photographs of noise for all its images and one more."""
    pycolmap.set_random_seed(0)
    model = pycolmap.synthesize_dataset(
        pycolmap.SyntheticDatasetOptions(
            num_rigs=1,
            num_cameras_per_rig=1,
            num_frames_per_rig=10,
            num_points3D=60,
            camera_width=96,
            camera_height=64,
            camera_model_id=pycolmap.CameraModelId.SIMPLE_RADIAL,
            camera_params=[90.0, 48.0, 32.0, 0.01],
        )
    )
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    names = [*sorted(image.name for image in model.images.values()), "zz_not_registered.png"]
    for name in names:
        pixels = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return Cameras(model=model, poses=None), {Path(name).name: folder / name for name in names}


def test_a_model_becomes_views_of_one_size_with_the_median_depth_at_1(
    synthetic: tuple[Cameras, dict[str, Path]],
) -> None:
    cameras, photographs = synthetic
    scene = scene_of(cameras.model, photographs, 32, first=0)
    assert [view.name for view in scene.test] == held_out(sorted(photographs), 0)
    assert len(scene.train) == 8
    depths = []
    for view in (*scene.train, *scene.test):
        assert view.image.shape == (21, 32, 3)
        pose = view.camera.cam_from_world
        depths.append(view.points @ pose[2, :3] + pose[2, 3])
    assert np.median(np.concatenate(depths)) == pytest.approx(1, abs=ROUNDING)
    with pytest.raises(InputError, match="0 images: nothing to train on"):
        scene_of(cameras.model, {"zz_not_registered.png": Path()}, 32, first=0)


def test_the_command_keeps_rows_and_measures_none_twice(
    synthetic: tuple[Cameras, dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cameras, photographs = synthetic
    failed = "+BA, turned by 2°"
    monkeypatch.setattr(splats, "photographs_of", lambda *_: photographs)
    monkeypatch.setattr(splats, "cameras_of", lambda way, _: None if way == failed else cameras)
    command = ["--data", str(tmp_path), "-o", str(tmp_path), "--fold", "4", "--long-side", "32"]
    command += ["--gaussians", "40", "--iterations", "2", "--threads", "1", "fountain-P11"]
    first = CliRunner().invoke(splats.main, command)
    # every way has the same cameras here, the control too: that must not pass for a result
    assert first.exit_code == GateError.exit_code, first.output
    assert "+BA, turned by 0.5°" in first.output
    assert f"| fountain-P11 | {failed} | 0/11, not " in first.output
    rows = (tmp_path / "rows.jsonl").read_text()
    assert rows.count("\n") == len(WAYS)
    with Image.open(tmp_path / "fountain-P11.png") as picture:
        assert picture.width == 4 * 32
    monkeypatch.setattr(splats, "measure", None)  # would fail
    again = CliRunner().invoke(splats.main, command)
    assert again.stdout == first.stdout
    assert (tmp_path / "rows.jsonl").read_text() == rows
    other = CliRunner().invoke(splats.main, [*command, "--iterations", "3"])
    assert isinstance(other.exception, TypeError)  # other settings: to be measured


def row(way: str, **test: float) -> Row:
    return Row(
        scene="s",
        way=way,
        fold=4,
        registered=len(test),
        photographs=9,
        test=test,
        missing=(),
        train=30.0,
        seconds=1.0,
    )


def test_views_that_a_way_lacks_count_for_no_way() -> None:
    rows = [row(FEED_FORWARD, a=20.0, b=10.0), row(ADJUSTED, a=24.0, b=16.0), row(PYCOLMAP, a=22.0)]
    assert held_out_psnr(rows, "s", ADJUSTED) == {"a": 24.0}
    assert "| s | +BA | 2/9 | 1 | 24.00 | +4.00 | 30.00 |" in table(rows)
    lost = [*rows, row("+BA, turned by 2°")]  # made no model
    assert held_out_psnr(lost, "s", ADJUSTED) == {"a": 24.0}
    assert held_out_psnr(lost, "s", "+BA, turned by 2°") == {}


def test_folds_are_put_together_view_by_view() -> None:
    rows = [
        replace(row(way, **test), fold=fold)
        for fold, both in enumerate(
            (({"a": 20.0}, {"a": 21.0}), ({"b": 22.0, "c": 10.0}, {"b": 25.0, "c": 12.0}))
        )
        for way, test in zip((FEED_FORWARD, ADJUSTED), both, strict=True)
    ]
    assert gains(rows, "s", ADJUSTED, FEED_FORWARD) == [1.0, 3.0, 2.0]
    assert "| s | +BA | 1/9 | 3 | 19.33 | +2.00 ± 0.58 | 30.00 |" in table(rows)


def test_ends_of_a_capture_do_not_count() -> None:
    names = [f"{s:04d}.jpg" for s in range(11)]
    assert scored(names, 0) == ["0008.jpg"]
    assert scored(names, 2) == ["0002.jpg"]
    assert scored(names, 1) == ["0001.jpg", "0009.jpg"]


@pytest.mark.parametrize(("turned", "blind"), [(23.4, False), (23.6, True)])
def test_controls_that_lose_too_little_are_refused(turned: float, blind: bool) -> None:
    rows = [row(ADJUSTED, a=24.0), row("+BA, turned by 0.5°", a=turned)]
    if blind:
        with pytest.raises(GateError, match=r"turned by 0.5°: 0.40 dB"):
            splats.check_controls(rows)
    else:
        splats.check_controls(rows)


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Log(path, Settings()).add(row(ADJUSTED, a=24.0))
    path.write_text(path.read_text() + '{"scene": "s", "wa')
    assert Log(path, Settings()).find("s", ADJUSTED, 4) == row(ADJUSTED, a=24.0)
    assert Log(path, Settings(long_side=9)).find("s", ADJUSTED, 4) is None

"""Hard sets: exact cameras, the same every time; and what is said of a run that is judged by them.

Every set is tiny here: what is checked does not depend on the size.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pycolmap
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial.transform import Rotation
from synthetic import orbit, synthetic_scene

from vggt_sfm import ReconstructConfig, VggtSfmError
from vggt_sfm._log import SilentProgress
from vggt_sfm.benchmarks.rescue import __main__ as command
from vggt_sfm.benchmarks.rescue import runs
from vggt_sfm.benchmarks.rescue.lenses import pixel_rays, render_lens
from vggt_sfm.benchmarks.rescue.outcome import Outcome, failed, judged, right_images
from vggt_sfm.benchmarks.rescue.photos import images_folder, read_truth, write_set
from vggt_sfm.benchmarks.rescue.real import RealSet
from vggt_sfm.benchmarks.rescue.runs import Outcomes, both_ways
from vggt_sfm.benchmarks.rescue.sets import SETS, HardSet, fisheye
from vggt_sfm.benchmarks.rescue.tables import sets_table, usual_table
from vggt_sfm.benchmarks.rescue.wrong_start import (
    Disturbance,
    DisturbedPredictor,
    disturbed_cameras,
)
from vggt_sfm.geometry.rigid import invert, rotation_angle_deg
from vggt_sfm.training.scenes.cameras import look_at
from vggt_sfm.training.scenes.description import (
    FACES,
    PLAIN,
    Material,
    SceneDescription,
    Shape,
    Solid,
    stack_scenes,
)
from vggt_sfm.training.textures import SIDE, TextureBank, procedural_textures

Float64 = NDArray[np.float64]

WIDTH = 64
DOT = 0.008  # radius, of its distance: 2 to 3 px
CENTROID_PX = 0.1  # four rays a pixel; and a ball off the axis is no circle around its centre
LENSES = {
    "OPENCV_FISHEYE": [300.0, 301.0, 322.0, 238.0, 0.02, -0.005, 0.001, 0.0],
    "OPENCV": [360.0, 362.0, 318.0, 241.0, -0.1, 0.02, 0.001, -0.001],
}


@pytest.fixture(scope="module")
def bank() -> TextureBank:
    return TextureBank(procedural_textures(6, np.random.default_rng(0)))


def plain(texture: int) -> Material:
    return Material(texture=np.full(FACES, texture), repeat=PLAIN)


def dots(xyz: Float64, radius: Float64) -> SceneDescription:
    room = Solid(shape=Shape.ENCLOSURE, center=np.zeros(3), half=np.full(3, 9.0), material=plain(0))
    balls = [
        Solid(shape=Shape.ELLIPSOID, center=x, half=np.full(3, r), material=plain(1))
        for x, r in zip(xyz, radius, strict=True)
    ]
    return SceneDescription(
        kind="dots",
        solids=(room, *balls),
        light=np.array([0.0, -1.0, 0.0]),
        ambient=1.0,
        open_sky=False,
    )


@pytest.mark.parametrize("model", LENSES)
def test_points_are_seen_where_the_lens_projects_them(model: str) -> None:
    camera = pycolmap.Camera(model=model, width=640, height=480, params=LENSES[model])
    pose = look_at(np.array([0.3, -0.2, -1.0]), np.array([0.1, 0.1, 1.0]), 10.0)
    grid = np.meshgrid(np.linspace(15, 625, 5), np.linspace(15, 465, 4))
    distance = np.random.default_rng(0).uniform(2, 4, 20)
    rays = np.asarray(camera.cam_ray_from_img(np.stack(grid, -1).reshape(-1, 2)))
    xyz_cam = rays * distance[:, None]
    wanted = np.asarray(camera.img_from_cam(xyz_cam))
    scene = dots((xyz_cam - pose[:, 3]) @ pose[:, :3], DOT * distance)
    black_and_white = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    black_and_white[1] = 255
    image = render_lens(stack_scenes([scene]), TextureBank(black_and_white), camera, pose)
    brightness = image.numpy().mean(-1)
    labels, count = ndimage.label(brightness > 0)
    found = ndimage.center_of_mass(brightness, labels, range(1, count + 1))
    centers = np.array(found)[:, ::-1] + 0.5
    assert count == len(wanted)
    apart = np.linalg.norm(wanted[:, None] - centers, axis=-1).min(axis=1)
    assert apart.max() < CENTROID_PX


def test_the_fisheye_is_wide_and_its_rays_are_exact() -> None:
    camera = fisheye(WIDTH)
    rays = pixel_rays(camera)
    assert rays.shape == (48, WIDTH, 3)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1, atol=1e-12)
    across = np.degrees(np.arccos(rays[24, 0] @ rays[24, -1]))
    assert 110 < across < 125


def test_a_lens_beyond_what_pycolmap_can_invert_is_refused() -> None:
    params = [20.0, 20.0, 32.0, 24.0, 0.01, -0.003, 0.0, 0.0]
    camera = pycolmap.Camera(model="OPENCV_FISHEYE", width=64, height=48, params=params)
    with pytest.raises(ValueError, match=r"OPENCV_FISHEYE: rays miss their pixels"):
        pixel_rays(camera)


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(images_folder(folder).iterdir())}


@pytest.mark.parametrize("name", ["turntable", "corridor", "fisheye"])
def test_sets_are_the_same_every_time(name: str, bank: TextureBank, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        SETS[name].write(tmp_path / folder, bank, WIDTH)
    assert pictures(tmp_path / "a") == pictures(tmp_path / "b")
    (truth,) = read_truth(tmp_path / "a")
    assert sorted(truth) == sorted(pictures(tmp_path / "a"))
    # neighbours differ, and no two cameras are in one place
    assert len(set(pictures(tmp_path / "a").values())) == len(truth)
    assert len(np.unique(np.round(list(truth.values()), 3), axis=0)) == len(truth)


def test_mixed_names_keep_each_photograph_with_its_camera(
    bank: TextureBank, tmp_path: Path
) -> None:
    scenes = SETS["turntable"].draw(bank, WIDTH)[0]
    chosen = HardSet(name="x", why="", draw=lambda b, w: [scenes[:5], scenes[5:8]], mixed=True)
    chosen.write(tmp_path / "x", bank, WIDTH)
    large, small = read_truth(tmp_path / "x")
    assert (len(large), len(small)) == (5, 3)
    assert sorted({**large, **small}) == [f"{n:02d}.png" for n in range(8)]
    assert sorted(large) != [f"{n:02d}.png" for n in range(5)]
    for name, pose in {**large, **small}.items():
        with Image.open(images_folder(tmp_path / "x") / name) as image:
            seen = np.asarray(image)
        (same,) = [p for p in scenes[:8] if np.allclose(p.cam_from_world, pose, atol=1e-9)]
        np.testing.assert_array_equal(seen, same.color)


def test_real_sets_mix_scenes_and_leave_the_originals_alone(
    bank: TextureBank, tmp_path: Path
) -> None:
    photos = SETS["turntable"].draw(bank, WIDTH)[0]
    for scene in ("a", "b"):
        write_set(tmp_path / scene, [photos[:4]])
        for file in (tmp_path / scene / "gt" / "0").iterdir():
            file.rename(tmp_path / scene / "gt" / file.name)
        (tmp_path / scene / "gt" / "0").rmdir()
    before = pictures(tmp_path / "a")
    chosen = (("a", slice(0, None, 2)), ("b", slice(None)))
    RealSet(name="x", why="", chosen=chosen).write(tmp_path / "x", tmp_path)
    large, small = read_truth(tmp_path / "x")
    assert (len(large), len(small)) == (4, 2)
    assert pictures(tmp_path / "a") == before
    wanted = [before["00.png"], before["02.png"]]
    assert sorted(pictures(tmp_path / "x")[name] for name in small) == sorted(wanted)


def in_another_world(poses: Float64) -> Float64:
    turn = Rotation.from_euler("xyz", [30, 40, 50], degrees=True).as_matrix()
    centers = 3 * invert(poses)[:, :, 3] @ turn.T + [1, 2, 3]
    rotations = poses[:, :, :3] @ turn.T
    return np.concatenate([rotations, -rotations @ centers[..., None]], axis=2)


def test_right_images_are_those_of_the_largest_agreement() -> None:
    truth = orbit(7, 90.0)
    found = in_another_world(truth)
    found[1] = np.nan
    found[4, :, :3] = Rotation.from_euler("y", 8, degrees=True).as_matrix() @ found[4, :, :3]
    found[5, :, 3] += 3.0  # a right rotation in a wrong place
    np.testing.assert_array_equal(
        right_images(found, truth), [True, False, True, True, False, False, True]
    )
    assert right_images(np.full_like(truth, np.nan), truth).sum() == 0


def test_disturbed_cameras_turn_where_they_are_or_take_anothers_place() -> None:
    poses = orbit(6, 60.0)
    turned = disturbed_cameras(poses, Disturbance(cameras=2))
    angle = rotation_angle_deg(turned[:, :, :3] @ np.swapaxes(poses[:, :, :3], 1, 2))
    np.testing.assert_allclose(np.sort(angle), [0, 0, 0, 0, 60, 60], atol=1e-5)
    np.testing.assert_allclose(invert(turned)[:, :, 3], invert(poses)[:, :, 3], atol=1e-12)
    exchanged = disturbed_cameras(poses, Disturbance(how="exchanged"))
    assert not any(np.allclose(a, b) for a, b in zip(exchanged, poses, strict=True))
    np.testing.assert_array_equal(np.sort(exchanged, axis=0), np.sort(poses, axis=0))


def test_a_disturbed_predictor_says_so_and_changes_cameras_alone() -> None:
    good = synthetic_scene()

    class Perfect:
        name, weights_sha256, licence, commit = "perfect", "0", "none", None
        device, advice, needs_images = "cpu", None, False

        def __call__(self, *_: object) -> object:
            return good.predictions

    disturbed = DisturbedPredictor(Perfect(), Disturbance(cameras=1))  # type: ignore[arg-type]
    found = disturbed(np.zeros((8, 3, 1, 1), np.float32), good.scene, SilentProgress())
    assert "DISTURBED" in disturbed.name
    assert found.depth is good.predictions.depth
    changed = np.abs(found.cam_from_world - good.cam_from_world).max(axis=(1, 2)) > 1e-9
    assert changed.sum() == 1


OUTCOME = Outcome(
    images=10, auc5=50.0, auc30=75.0, right=6, named=1, wrong_unnamed=3, right_named=0,
    line="adjusted", statuses={}, rungs="", stages={"predict": 8.0, "adjust": 2.0},
)  # fmt: skip
RESCUED = replace(
    OUTCOME, auc5=90.0, right=9, named=2, wrong_unnamed=0, right_named=1, rungs="verify",
    stages={"adjust": 2.5, "rescue": 4.5},
)  # fmt: skip


def made_up(poses: dict[str, Float64], statuses: dict[str, str]) -> SimpleNamespace:
    """Return a result with these cameras, as far as it is judged."""
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(camera_id=1, model="PINHOLE", width=4, height=3, params=[4, 4, 2, 1.5])
    model.add_camera_with_trivial_rig(camera)
    for number, (name, pose) in enumerate(poses.items(), start=1):
        image = pycolmap.Image(name=name, camera_id=1, image_id=number)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose))
    stages = [
        SimpleNamespace(name="predict", cached=True, cpu_seconds=0.1),
        SimpleNamespace(name="adjust", cached=False, cpu_seconds=2.5),
    ]
    images = [SimpleNamespace(name=name, status=status) for name, status in statuses.items()]
    report = SimpleNamespace(images=images, line="adjusted", stages=stages, rescue=None)
    return SimpleNamespace(report=report, reconstruction=lambda: model)


def test_the_largest_scene_counts_and_the_others_are_wrong_unless_named() -> None:
    names = "abcdefg"
    truth = dict(zip(names, orbit(7, 90.0), strict=True))
    found = dict(zip(names, in_another_world(orbit(7, 90.0)), strict=True))
    found["f"] = np.eye(3, 4)
    large = {name: truth[name] for name in "abcdf"}
    small = {name: truth[name] for name in "eg"}
    statuses = dict.fromkeys(names, "refined") | {"a": "registered", "g": "rejected"}
    outcome = judged(made_up(found, statuses), [large, small])  # type: ignore[arg-type]
    assert (outcome.images, outcome.right, outcome.named) == (7, 4, 2)
    assert outcome.wrong_unnamed == 2  # e and f
    assert outcome.right_named == 1  # a
    assert outcome.auc5 == pytest.approx(60.0, abs=0.1)  # pairs of b, c, d and a: 6 of 10
    assert outcome.stages == {"adjust": 2.5}


def test_a_run_that_ends_with_an_error_has_lost_everything_but_named_it() -> None:
    outcome = failed("no memory", [{"a": np.eye(3, 4), "b": np.eye(3, 4)}])
    assert (outcome.right, outcome.named, outcome.wrong_unnamed) == (0, 2, 0)
    assert outcome.line == "no memory"


def test_what_the_second_run_took_over_costs_as_much_as_in_the_first() -> None:
    assert Outcomes(name="x", before=OUTCOME, after=RESCUED).cpu_seconds == (10.0, 15.0)
    nothing = replace(RESCUED, stages={})
    assert Outcomes(name="x", before=OUTCOME, after=nothing).cpu_seconds is None


def test_tables_have_both_ways_side_by_side() -> None:
    both = Outcomes(name="x", before=OUTCOME, after=RESCUED)
    (first,) = sets_table([both], {"x": "why"}).splitlines()[2:]
    assert first == (
        "| x: why | 10 | 50.0/75.0 | 6 | 1 | 3 | 90.0/75.0 | 9 | 2 | 0 | verify | 1.50 |"
    )
    alone = replace(both, after=replace(OUTCOME, rungs=""))
    usual = usual_table([both, alone]).splitlines()[2]
    assert usual == (
        "| 2 | 50.0/75.0 | 12 | 2 | 6 | 70.0/75.0 | 15 | 3 | 3 | 0/1 | 1.25 | 1 | 1.00 |"
    )


def test_a_set_that_is_done_is_not_done_again(
    bank: TextureBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = SETS["turntable"].draw(bank, WIDTH)[0][:2]
    write_set(tmp_path / "photos", [photos])
    calls = []

    def fail(*arguments: object, **options: object) -> None:
        calls.append(arguments)
        raise VggtSfmError("it does not work")

    monkeypatch.setattr(runs, "reconstruct", fail)
    for _ in range(2):
        found = both_ways(
            "x",
            tmp_path / "photos",
            tmp_path / "out",
            None,
            ReconstructConfig(),  # type: ignore[arg-type]
        )
        assert found.before.line == "it does not work"
    assert len(calls) == 2  # without and with the rescue


def test_the_second_run_has_the_rescue_and_the_folder_of_the_first(
    bank: TextureBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path / "photos", [SETS["turntable"].draw(bank, WIDTH)[0][:2]])
    calls = []

    def fail(images: Path, output: Path, config: ReconstructConfig, **options: object) -> None:
        calls.append((output, config.rescue))
        raise VggtSfmError("it does not work")

    monkeypatch.setattr(runs, "reconstruct", fail)
    out = tmp_path / "out"
    found = both_ways("x", tmp_path / "photos", out, None, ReconstructConfig())  # type: ignore[arg-type]
    assert calls == [(out / "run", False), (out / "run", True)]
    assert found.after.line == "it does not work"


def test_the_command_prints_a_table_of_the_sets_that_it_was_asked_for(
    bank: TextureBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def write(self: HardSet, folder: Path, bank: TextureBank) -> None:
        written.append(self.name)
        folder.mkdir(parents=True)

    def done(name: str, *_: object) -> Outcomes:
        return Outcomes(name=name, before=OUTCOME, after=OUTCOME)

    textures = SimpleNamespace(bank=bank, key="k")
    monkeypatch.setattr(command, "held_out_textures", lambda folder, file: textures)
    monkeypatch.setattr(HardSet, "write", write)
    monkeypatch.setattr(command, "both_ways", done)
    asked = ["-o", str(tmp_path), "--sets", "wrong_1", "--sets", "corridor"]
    for _ in range(2):
        finished = CliRunner().invoke(command.main, asked, catch_exceptions=False)
    assert written == ["wrong_1", "corridor"]
    assert "| wrong_1: 1 camera of 10 predicted 60° off | 10 |" in finished.stdout
    assert (tmp_path / "tables.md").read_text(encoding="utf-8") == finished.stdout

"""New photographs are found in a model, and what it had stays as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import foreign
import numpy as np
import photos
import pycolmap
import pytest
import registering
from PIL import ExifTags, Image
from registering import VIEWS, Workspace, name

from vggt_sfm._log import SilentProgress, Task
from vggt_sfm.errors import InputError, ReconstructionError
from vggt_sfm.io.colmap import poses_by_name, write_sparse
from vggt_sfm.pipelines.register_config import RegisterConfig
from vggt_sfm.pipelines.registered import RegisterResult
from vggt_sfm.pipelines.registering import register

# Measured: 0.02 degrees and 0.003 units, of a room 6 deep.
_MOST_DEG, _MOST_MOVED = 0.15, 0.02


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A model of five photographs, and two more; not to be changed."""
    return registering.make_workspace(tmp_path_factory.mktemp("register"))


@pytest.fixture(scope="module")
def found(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> RegisterResult:
    """Both photographs registered; not to be changed."""
    return register(workspace.folder, workspace.new, tmp_path_factory.mktemp("found") / "out")


def _assert_found(model: pycolmap.Reconstruction, image: str, view: photos.View) -> None:
    turn, moved = registering.pose_error(model, image, view)
    assert turn <= _MOST_DEG
    assert moved <= _MOST_MOVED


def test_new_photographs_are_found_where_they_were_taken(
    workspace: Workspace, found: RegisterResult
) -> None:
    model = found.reconstruction()
    assert found.report.registered == tuple(map(name, registering.NEW))
    for n in registering.NEW:
        _assert_found(model, name(n), VIEWS[n])
    old = workspace.model
    ids = {image.name: image.image_id for image in model.images.values()}
    assert [ids[name(n)] for n in registering.NEW] == [6, 7]
    # The only camera of the model is shared, and not refined.
    assert model.num_cameras() == 1
    for image in found.report.images:
        assert image.camera_is_old
        assert 100 < image.inliers <= image.points
        assert image.observations == model.image(image.image_id).num_points3D
    assert model.num_points3D() - old.num_points3D() == found.report.new_points > 20


def test_what_the_model_had_stays_to_the_last_bit(
    workspace: Workspace, found: RegisterResult
) -> None:
    old, extended = workspace.model, found.reconstruction()
    assert registering.differences(old, extended) == []
    again = [
        i
        for i, point in old.points3D.items()
        if extended.point3D(i).track.length() > point.track.length()
    ]
    assert len(again) > 100
    fresh = [point for i, point in extended.points3D.items() if not old.exists_point3D(i)]
    assert any(e.image_id <= old.num_images() for point in fresh for e in point.track.elements)
    # Every observation that was added lies where its point is projected.
    before = old.compute_mean_reprojection_error()
    assert extended.compute_mean_reprojection_error() < 2 * before


def test_the_extended_model_is_a_colmap_model(found: RegisterResult, tmp_path: Path) -> None:
    model = found.reconstruction()
    assert model.is_valid()
    model.write_text(tmp_path)
    again = pycolmap.Reconstruction(tmp_path)
    assert again.num_points3D() == model.num_points3D()
    assert again.compute_num_observations() == model.compute_num_observations()
    assert poses_by_name(again).keys() == poses_by_name(model).keys()
    # A new photograph sees a point once; COLMAP's own tracks see some twice.
    for point in model.points3D.values():
        new = [e.image_id for e in point.track.elements if e.image_id > len(registering.OLD)]
        assert len(set(new)) == len(new)


def test_equal_calls_give_equal_bytes(
    workspace: Workspace, found: RegisterResult, tmp_path: Path
) -> None:
    again = register(workspace.folder, workspace.new, tmp_path / "out")
    assert foreign.content(again.sparse) == foreign.content(found.sparse)


def test_what_does_not_belong_is_named_and_left_out(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "more"
    good = registering.photograph(new / "b_new.png", VIEWS[2])
    (new / "c_twin.png").write_bytes(good.read_bytes())
    registering.photograph(new / name(3), VIEWS[4])  # a name that the model has
    old = workspace.folder / "images" / name(1)
    (new / "d_old.png").write_bytes(old.read_bytes())
    (new / "e_broken.png").write_bytes(good.read_bytes()[:2000])
    texture = photos._texture
    monkeypatch.setattr(photos, "_texture", lambda number: texture(number + 7))
    registering.photograph(new / "a_elsewhere.png", VIEWS[3])
    foreign.save_noise(new / "f_noise.png", (320, 240))
    report = register(workspace.folder, new, tmp_path / "out").report
    assert report.registered == ("b_new.png",)
    reasons = {image.name: image.reason for image in report.images}
    assert reasons["b_new.png"] is None
    assert (reasons["a_elsewhere.png"] or "").startswith("too few matches")
    assert (reasons["f_noise.png"] or "").startswith("too few matches")
    skipped = {entry.name: (entry.reason, entry.twin) for entry in report.skipped}
    assert skipped["c_twin.png"] == ("same file as b_new.png", True)
    assert skipped["d_old.png"] == (f"same file as {name(1)} of the model", True)
    assert "another photograph of this name" in skipped[name(3)][0]
    assert "e_broken.png" in skipped["e_broken.png"][0]


def test_none_registered_is_an_error_that_leaves_a_report(
    workspace: Workspace, found: RegisterResult, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(found.output, output)
    foreign.save_noise(tmp_path / "noise.png", (320, 240))
    with pytest.raises(ReconstructionError, match=r"0 of 1 photographs registered, not noise.png"):
        register(workspace.folder, tmp_path / "noise.png", output)
    # The model of the call before would be taken for this one's.
    assert not (output / "sparse").exists()
    written = json.loads((output / "register.json").read_text())
    assert written["ok"] is False
    assert written["images"][0]["name"] == "noise.png"


def test_another_camera_is_estimated(workspace: Workspace, tmp_path: Path) -> None:
    view = replace(VIEWS[2], width=400, height=280, focal=400.0)
    registering.photograph(tmp_path / "new/tele.png", view)
    result = register(workspace.folder, tmp_path / "new", tmp_path / "out")
    model, (image,) = result.reconstruction(), result.report.images
    assert not image.camera_is_old
    assert model.num_cameras() == 2
    assert image.camera_id == 2
    assert image.focal_px == pytest.approx(400, rel=0.02)
    turn, moved = registering.pose_error(model, "tele.png", view)
    assert turn <= 0.5
    assert moved <= 0.1
    assert registering.differences(workspace.model, model) == []


def test_adjusted_model_says_so(workspace: Workspace, tmp_path: Path) -> None:
    rough = registering.disturbed(workspace.model, radians=0.002)
    folder = registering.write_elsewhere(tmp_path / "rough", rough, workspace.folder / "images")
    result = register(folder, workspace.new / name(2), config=RegisterConfig(ba=True))
    bundle = result.report.bundle
    assert bundle is not None
    assert bundle.status == "refined"
    assert bundle.num_refined == 6
    model = result.reconstruction()
    assert set(poses_by_name(model)) == {name(n) for n in (*registering.OLD, 2)}
    assert registering.differences(rough, model)
    assert model.compute_mean_reprojection_error() < rough.compute_mean_reprojection_error()


def test_model_without_points_is_enough(workspace: Workspace, tmp_path: Path) -> None:
    bare = registering.without_points(workspace.model)
    images = workspace.folder / "images"
    folder = registering.write_elsewhere(tmp_path / "bare", bare, images)
    result = register(folder, workspace.new)
    assert result.output == folder / "vggt-sfm-registered"
    for n in registering.NEW:
        _assert_found(result.reconstruction(), name(n), VIEWS[n])
    assert registering.differences(bare, result.reconstruction()) == []


def test_two_views_in_one_photograph_are_ambiguous(workspace: Workspace, tmp_path: Path) -> None:
    halves = [photos.render(VIEWS[n]) for n in (1, 5)]
    collage = np.concatenate([halves[0][:, :160], halves[1][:, 160:]], axis=1)
    (tmp_path / "new").mkdir()
    Image.fromarray(collage).save(tmp_path / "new/collage.png")
    with pytest.raises(ReconstructionError, match=r"collage.png: ambiguous: \d+ points agree on"):
        register(workspace.folder, tmp_path / "new", tmp_path / "out")


@pytest.mark.parametrize("upright", [False, True])
def test_turned_photographs_are_read_as_those_of_the_model(
    workspace: Workspace, tmp_path: Path, upright: bool
) -> None:
    """A camera on its side writes pixels as they lie, and the turn into EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    new = registering.photograph(tmp_path / "new/turned.png", VIEWS[2], exif)
    folder = workspace.folder
    if upright:  # a model that sees one of its photographs turned by EXIF
        folder = _with_turned_photograph(workspace, tmp_path / "turned", exif)
    result = register(folder, new, tmp_path / "out")
    model = result.reconstruction()
    assert result.report.upright is upright
    pose = poses_by_name(model)["turned.png"]
    camera = model.camera(model.find_image_with_name("turned.png").camera_id)
    assert (camera.width, camera.height) == ((240, 320) if upright else (320, 240))
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])  # x of the file is down when upright
    expected = (quarter if upright else np.eye(3)) @ VIEWS[2].cam_from_world
    assert np.abs(pose - expected).max() <= _MOST_MOVED


def _with_turned_photograph(workspace: Workspace, folder: Path, exif: Image.Exif) -> Path:
    """Add a view to the model that its camera sees upright and its file does not."""
    model = workspace.model
    upright = pycolmap.Camera(
        camera_id=2,
        model="SIMPLE_PINHOLE",
        width=240,
        height=320,
        params=[VIEWS[0].focal, 120, 160],
    )
    model.add_camera_with_trivial_rig(upright)
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    image = pycolmap.Image(name="side.png", camera_id=2, image_id=6)
    pose = pycolmap.Rigid3d(np.ascontiguousarray(quarter @ VIEWS[4].cam_from_world))
    model.add_image_with_trivial_frame(image, pose)
    shutil.copytree(workspace.folder / "images", folder / "images")
    registering.photograph(folder / "images/side.png", VIEWS[4], exif)
    write_sparse(folder / "sparse/0", model)
    return folder


def test_nothing_is_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    before = foreign.content(workspace.folder)
    with pytest.raises(InputError, match="holds the model itself"):
        register(workspace.folder, workspace.new, workspace.folder)
    (tmp_path / "out/sparse").mkdir(parents=True)
    (tmp_path / "out/sparse/mine").touch()
    with pytest.raises(InputError, match="no export made it"):
        register(workspace.folder, workspace.new, tmp_path / "out")
    assert foreign.content(workspace.folder) == before


def test_photographs_of_the_model_are_needed(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / name(0)).symlink_to(workspace.folder / "images" / name(0))
    with pytest.raises(InputError, match=r"1 of the model's 5 photographs are found.*--images"):
        register(workspace.folder, workspace.new, tmp_path / "out", images=tmp_path / "few")


def test_only_old_photographs_are_an_error(workspace: Workspace, tmp_path: Path) -> None:
    images = workspace.folder / "images"
    with pytest.raises(InputError, match=r"no new photograph in 5 files; img0.png: same file as"):
        register(workspace.folder, images, tmp_path / "out")


def test_photographs_beside_those_of_the_model_are_named_like_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(workspace.folder / "images", images)
    registering.photograph(images / "later/x.png", VIEWS[4])
    result = register(workspace.folder, images / "later", tmp_path / "out", images=images)
    assert result.report.registered == ("later/x.png",)


class _Interrupted(SilentProgress):
    """Ctrl-C when the first pose is looked for."""

    @contextmanager
    def task(self, name: str, total: int | None) -> Iterator[Task]:
        if name == "register":
            raise KeyboardInterrupt
        with super().task(name, total) as task:
            yield task


def test_ctrl_c_leaves_nothing(workspace: Workspace, tmp_path: Path) -> None:
    before = foreign.content(workspace.folder)
    with pytest.raises(KeyboardInterrupt):
        register(workspace.folder, workspace.new, tmp_path / "out", progress=_Interrupted())
    assert not (tmp_path / "out").exists()
    assert foreign.content(workspace.folder) == before

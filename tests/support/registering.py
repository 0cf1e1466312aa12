"""A model of the room by pycolmap, and photographs of the room that it does not know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import photos
import pycolmap
from PIL import Image

from vggt_sfm.benchmarks.colmap_run import ColmapOptions, extract, match, quiet
from vggt_sfm.geometry.rigid import compose, invert, rotation_angle_deg
from vggt_sfm.io.colmap import poses_by_name, read_sparse, write_sparse

VIEWS = photos.views(7)
OLD, NEW = (0, 1, 3, 5, 6), (2, 4)


@dataclass(frozen=True)
class Workspace:
    """``images`` and ``sparse/0`` of a model, and ``new``, photographs of the same room."""

    folder: Path

    @property
    def new(self) -> Path:
        return self.folder.parent / "new"

    @property
    def model(self) -> pycolmap.Reconstruction:
        return read_sparse(self.folder / "sparse/0")


def name(n: int) -> str:
    return f"img{n}.png"


def photograph(path: Path, view: photos.View, exif: Image.Exif | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photos.render(view)).save(path, exif=exif or Image.Exif())
    return path


def make_workspace(folder: Path) -> Workspace:
    """Photograph the room, and let pycolmap find points in the photographs of known cameras."""
    made = Workspace(folder / "model")
    images = made.folder / "images"
    for place, rows in ((images, OLD), (made.new, NEW)):
        for n in rows:
            photograph(place / name(n), VIEWS[n])
    quiet()
    database = folder / "database.db"
    focal, width, height = VIEWS[0].focal, VIEWS[0].width, VIEWS[0].height
    options = ColmapOptions(
        first_octave=0, seed=0, camera_params=f"{focal},{width / 2},{height / 2},0"
    )
    extract(images, database, options)
    match(database, options)
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        for camera in opened.read_all_cameras():
            model.add_camera_with_trivial_rig(camera)
        for image in opened.read_all_images():
            pose = VIEWS[int(Path(image.name).stem[3:])].cam_from_world
            bare = pycolmap.Image(
                name=image.name, camera_id=image.camera_id, image_id=image.image_id
            )
            model.add_image_with_trivial_frame(bare, pycolmap.Rigid3d(pose))
    (made.folder / "sparse/0").mkdir(parents=True)
    pycolmap.triangulate_points(model, database, images, made.folder / "sparse/0")
    return made


def without_points(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """Return a model of the cameras alone, as a ``transforms.json`` would be."""
    bare = pycolmap.Reconstruction()
    for camera in model.cameras.values():
        bare.add_camera_with_trivial_rig(camera)
    for image_id, image in sorted(model.images.items()):
        alone = pycolmap.Image(name=image.name, camera_id=image.camera_id, image_id=image_id)
        bare.add_image_with_trivial_frame(alone, image.cam_from_world())
    return bare


def disturbed(model: pycolmap.Reconstruction, radians: float) -> pycolmap.Reconstruction:
    """Return a model whose cameras are turned by chance, by about so much."""
    rng = np.random.default_rng(0)
    result = pycolmap.Reconstruction(model)
    for frame in result.frames.values():
        turn = pycolmap.Rotation3d(rng.normal(0, radians, 3))
        frame.rig_from_world = pycolmap.Rigid3d(turn, np.zeros(3)) * frame.rig_from_world
    result.update_point_3d_errors()
    return result


def write_elsewhere(folder: Path, model: pycolmap.Reconstruction, images: Path) -> Path:
    """Write a workspace of another model with the same photographs."""
    write_sparse(folder / "sparse/0", model)
    (folder / "images").symlink_to(images)
    return folder


def pose_error(
    model: pycolmap.Reconstruction, image: str, view: photos.View
) -> tuple[float, float]:
    """Return degrees and units between the poses of an image and of a view."""
    pose, truth = poses_by_name(model)[image], view.cam_from_world
    turn = rotation_angle_deg(compose(pose, invert(truth))[:, :3])
    moved = np.linalg.norm(invert(pose)[:, 3] - invert(truth)[:, 3])
    return float(turn), float(moved)


def differences(old: pycolmap.Reconstruction, extended: pycolmap.Reconstruction) -> list[str]:
    """Name what of a model is not, to the last bit, as it was."""
    found = []
    for i, camera in old.cameras.items():
        now = extended.camera(i)
        if now.model != camera.model or not np.array_equal(now.params, camera.params):
            found.append(f"camera {i}")
    for i, image in old.images.items():
        now = extended.image(i)
        poses = [each.cam_from_world().matrix() for each in (image, now)]
        if now.name != image.name or not np.array_equal(*poses):
            found.append(f"image {i}")
        before, after = _points2d(image), _points2d(now)
        if after[: len(before)] != before:
            found.append(f"2D points of image {i}")
    for i, point in old.points3D.items():
        now = extended.point3D(i)
        if not (np.array_equal(now.xyz, point.xyz) and np.array_equal(now.color, point.color)):
            found.append(f"point {i}")
    return found


def _points2d(image: pycolmap.Image) -> list[tuple[float, float, int]]:
    return [(*map(float, point.xy), point.point3D_id) for point in image.points2D]

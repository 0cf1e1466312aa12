"""A small model to look at: a room with photographs, depth, and a state before its adjustment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import photos
import pycolmap
from PIL import Image
from room import SIZE
from scipy.spatial.transform import Rotation

from vggt_sfm.io.opened import OpenedModel, PhotoDepth
from vggt_sfm.scene import Frame, PixelMap, Size

# A sensible lens that is no pinhole, with the principal point off the middle.
LENS = (290.0, 285.0, 163.0, 117.0, 0.05, -0.01, 0.001, -0.002)
_NETWORK = Size(168, 126)
_PIXEL_MAP = PixelMap(original=SIZE, network=_NETWORK, scale=(0.5, 0.5), offset=(4.0, 3.0))
_POINTS = 300


def opened_room(
    folder: Path, names: tuple[str, ...] = ("a.png", "b.png", "c.png"), *, lens: bool = False
) -> OpenedModel:
    """Render the room from several places and open it as if a run had reconstructed it.

    Args:
        folder: Where the photographs go.
        names: Of the photographs.
        lens: Whether the cameras distort; the photographs are those of a pinhole.
    """
    views = photos.views(len(names), *SIZE)
    frames, depths = {}, {}
    for name, view in zip(names, views, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photos.render(view)).save(path)
        frames[name] = Frame(name=name, path=str(path), size=SIZE, sha256="")
        depths[name] = _depth(view)
    poses = [view.cam_from_world for view in views]
    turn = Rotation.from_rotvec([0.0, 0.02, 0.01]).as_matrix()
    before = [np.column_stack([turn @ pose[:, :3], pose[:, 3] + 0.1]) for pose in poses]
    camera = _camera(views[0], lens)
    return OpenedModel(
        model=model_of(names, poses, camera),
        frames=frames,
        depths=depths,
        before=model_of(names, before, camera),
    )


def model_of(
    names: tuple[str, ...], poses: list[np.ndarray], camera: pycolmap.Camera, points: int = _POINTS
) -> pycolmap.Reconstruction:
    """Build a model of points of the room, each seen wherever it falls into a photograph."""
    rng = np.random.default_rng(0)
    xyz = np.stack(
        [rng.uniform(-2.5, 2.5, points), rng.uniform(-1.5, 1.5, points), np.full(points, 6.0)], 1
    )
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(camera)
    tracks = [pycolmap.Track() for _ in xyz]
    for s, (name, pose) in enumerate(zip(names, poses, strict=True), start=1):
        xy = camera.img_from_cam(xyz @ pose[:, :3].T + pose[:, 3])
        seen = np.flatnonzero(((xy >= 0) & (xy <= SIZE)).all(axis=1))
        image = pycolmap.Image(name=name, keypoints=xy[seen], camera_id=1, image_id=s)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.ascontiguousarray(pose)))
        for place, n in enumerate(seen):
            tracks[n].add_element(s, place)
    for n, track in enumerate(tracks):
        if track.length():
            model.add_point3D(xyz[n], track, rng.integers(0, 255, 3).astype(np.uint8))
    return model


def incomplete(opened: OpenedModel) -> dict[str, OpenedModel]:
    """Return what is left of a model of three photographs without one thing or another."""
    bare = OpenedModel(model=opened.model)
    no_points = pycolmap.Reconstruction(opened.model)
    for point_id in list(no_points.points3D):
        no_points.delete_point3D(point_id)
    one = pycolmap.Reconstruction(no_points)
    for frame_id in (2, 3):
        one.deregister_frame(frame_id)
    return {
        "no photographs": replace(opened, frames={}),
        "model alone": bare,
        "no points": OpenedModel(model=no_points),
        "no points but depth": replace(opened, model=no_points, before=None),
        "one image": OpenedModel(model=one),
        "nothing": OpenedModel(model=pycolmap.Reconstruction()),
    }


def _camera(view: photos.View, lens: bool) -> pycolmap.Camera:
    params = LENS if lens else (view.focal, view.width / 2, view.height / 2)
    return pycolmap.Camera(
        camera_id=1,
        model="OPENCV" if lens else "SIMPLE_PINHOLE",
        width=view.width,
        height=view.height,
        params=params,
    )


def _depth(view: photos.View) -> PhotoDepth:
    """True depth at half the size, less sure from left to right, inside a border of padding."""
    small = replace(view, width=view.width // 2, height=view.height // 2, focal=view.focal / 2)
    inside = photos.depth_map(small).astype(np.float32)
    depth = np.pad(inside, ((3, 3), (4, 4)), constant_values=1.0)
    confidence = np.tile(np.linspace(2, 1, depth.shape[1], dtype=np.float32), (depth.shape[0], 1))
    return PhotoDepth(depth=depth, confidence=confidence, pixel_map=_PIXEL_MAP)

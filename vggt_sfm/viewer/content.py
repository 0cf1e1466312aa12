"""What the viewer shows, as arrays: everything but the page it is shown on."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from vggt_sfm._checks import Float64, UInt8
from vggt_sfm._log import Progress, SilentProgress
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.viewer.cameras import (
    ShownCamera,
    View,
    scene_distance,
    shown_cameras,
    start_view,
    up_direction,
)
from vggt_sfm.viewer.pictures import shrunk, small_photo
from vggt_sfm.viewer.points import (
    DensePoints,
    SparsePoints,
    dense_points,
    shares,
    sparse_points,
    usable_pixels,
)

MOST_POINTS = 500_000
THUMBNAIL_PX = 256
_COLORS_PX = 640  # about the networks' size: a finer photograph has no more colours to give
_SEED = 0
_DECODERS = 4  # each holds a whole photograph
# Extents of the scene: from there on 32-bit positions lose a thousandth of one.
_FAR_OFF = 1000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Content:
    """A scene to show. All positions are in the world, moved by ``-origin``."""

    origin: Float64  # (3,) world; not zero where the scene is far off, as with map coordinates
    sparse: SparsePoints
    dense: DensePoints
    before: SparsePoints
    """Points before the adjustment; none where it was not adjusted."""
    cameras: tuple[ShownCamera, ...]
    cameras_before: tuple[ShownCamera, ...]
    """Before the adjustment; none where it was not adjusted."""
    thumbnails: Mapping[str, UInt8]
    """(h, w, 3) RGB of the photographs that were found, by name."""
    up: Float64  # (3,) of length 1
    distance: float
    """Median distance of cameras and points, above 0."""
    view: View
    """Where to look from at first."""
    unit: str


def content(
    opened: OpenedModel,
    most_points: int = MOST_POINTS,
    thumbnail_px: int = THUMBNAIL_PX,
    progress: Progress | None = None,
) -> Content:
    """Gather what a model has to show.

    Args:
        opened: The model and what lies beside it; any part of it may be missing.
        most_points: Points at most, in all sets together; each is cut down by a seeded choice,
            small sets last.
        thumbnail_px: Longer side of the pictures on the cameras.
        progress: Told about each photograph.
    """
    pixels = {name: usable_pixels(depth) for name, depth in opened.depths.items()}
    counts = (
        opened.model.num_points3D(),
        opened.before.num_points3D() if opened.before is not None else 0,
        sum(len(each) for each in pixels.values()),
    )
    most = shares(counts, most_points)
    colors, thumbnails = _photos(opened, thumbnail_px, progress or SilentProgress())
    sparse, errors = sparse_points(opened.model, most[0], _SEED)
    before, errors_before = sparse_points(opened.before, most[1], _SEED)
    dense = dense_points(opened, pixels, colors, most[2])
    cameras = shown_cameras(opened.model, errors)
    cameras_before = shown_cameras(opened.before, errors_before) if opened.before else []
    origin = _origin(cameras, sparse.xyz)
    sparse, before = (replace(each, xyz=each.xyz - origin) for each in (sparse, before))
    dense = replace(dense, xyz=dense.xyz - origin)
    cameras, cameras_before = (
        [camera.moved(-origin) for camera in each] for each in (cameras, cameras_before)
    )
    seen = sparse.xyz if len(sparse.xyz) else dense.xyz
    up = up_direction(cameras, opened.georeferenced)
    distance = scene_distance(cameras, seen)
    return Content(
        origin=origin,
        sparse=sparse,
        dense=dense,
        before=before,
        cameras=tuple(cameras),
        cameras_before=tuple(cameras_before),
        thumbnails=thumbnails,
        up=up,
        distance=distance,
        view=start_view(cameras, seen, up, distance),
        unit=opened.unit,
    )


def _origin(cameras: list[ShownCamera], xyz: Float64) -> Float64:
    """Return a (3,) place in the middle of what is shown; zero where that is near enough."""
    places = np.array([camera.center for camera in cameras]) if cameras else xyz
    if not len(places):
        return np.zeros(3)
    middle = np.median(places, axis=0)
    extent = np.median(np.abs(np.concatenate([places, xyz]) - middle))
    far_off = np.abs(middle).max() > _FAR_OFF * extent
    return middle if far_off else np.zeros(3)


def _photos(
    opened: OpenedModel, thumbnail_px: int, progress: Progress
) -> tuple[dict[str, UInt8], dict[str, UInt8]]:
    """Return photographs that have depth at the size for colours, and thumbnails of all."""
    colors, thumbnails = {}, {}
    names = [image.name for image in opened.images() if image.name in opened.frames]
    with (
        progress.task("photographs", len(names)) as task,
        ThreadPoolExecutor(_DECODERS) as pool,
    ):
        photos = pool.map(lambda name: small_photo(opened, name, _COLORS_PX), names)
        for name, photo in zip(names, photos, strict=True):
            if photo is not None:
                thumbnails[name] = shrunk(photo, thumbnail_px)
                if name in opened.depths:
                    colors[name] = photo
            task.advance()
    return colors, thumbnails

"""Rounds of localizing, and what is added to a model: tracks without photographs."""

from __future__ import annotations

from dataclasses import replace

import foreign
import numpy as np
import pycolmap
import registering
import rigged
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm._log import SilentProgress
from vggt_sfm.io.opened import observed
from vggt_sfm.localizing.config import LocalizeConfig
from vggt_sfm.localizing.extend import extend
from vggt_sfm.localizing.localize import Outcome, Photographs, localize
from vggt_sfm.localizing.poses import Pose
from vggt_sfm.localizing.refine import refine_new
from vggt_sfm.localizing.tracks import NO_POINT, PointTracks, link_to_model, triangulate
from vggt_sfm.scene import Frame, Size
from vggt_sfm.tracking.matches import verified_matches

Float64 = NDArray[np.float64]
_LENS = foreign.camera("OPENCV", (640, 480))
_NEW = 3  # photographs 0 to 2 are the model's
_CONFIG = LocalizeConfig()
_RGB = np.full((480, 640, 3), (10, 20, 30), np.uint8)


def _frame(n: int) -> Frame:
    return Frame(name=f"{n}.png", path=f"/{n}.png", size=Size(640, 480), sha256=str(n))


def _pose(n: int) -> pycolmap.Rigid3d:
    """Cameras beside one another that look at the points."""
    turn = Rotation.from_rotvec([0.02, -0.05 * n, 0.01 * n]).as_quat()
    return pycolmap.Rigid3d(pycolmap.Rotation3d(turn), np.array([1.0 - 0.5 * n, 0.1, 5.0]))


def _pixels(n: int, xyz: Float64) -> Float64:
    return np.asarray(_LENS.img_from_cam(np.array([_pose(n) * point for point in xyz])))


class _Scene:
    """Three photographs of a model, which sees 40 of 120 points; and two new ones."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.xyz = rng.uniform(-1, 1, (120, 3))
        self.model = pycolmap.Reconstruction()
        self.model.add_camera_with_trivial_rig(pycolmap.Camera(_LENS.todict()))
        for n in range(_NEW):
            image = pycolmap.Image(
                name=f"{n}.png", keypoints=_pixels(n, self.xyz[:40]), camera_id=1, image_id=n + 1
            )
            self.model.add_image_with_trivial_frame(image, _pose(n))
        for k, xyz in enumerate(self.xyz[:40]):
            track = pycolmap.Track()
            for n in range(_NEW):
                track.add_element(n + 1, k)
            self.model.add_point3D(xyz, track, np.array([1, 2, 3], np.uint8))
        self.photos = Photographs(frames=tuple(map(_frame, range(5))), image_ids=(1, 2, 3))

    def tracks(self, seen: dict[int, range]) -> PointTracks:
        """Return a track for each point, through the frames that see it; the first 40 are named."""
        pairs = [(k, s) for k in range(len(self.xyz)) for s, rows in seen.items() if k in rows]
        track, frame = np.array(pairs).T
        return PointTracks(
            track_index=track,
            frame_index=frame,
            xy=np.array([_pixels(s, self.xyz[k : k + 1])[0] for k, s in pairs]),
            point_ids=np.where(
                np.arange(len(self.xyz)) < 40, np.arange(len(self.xyz)) + 1, NO_POINT
            ),
        )

    def found(self, tracks: PointTracks) -> list[Outcome]:
        return localize(self.model, self.photos, tracks, _CONFIG, SilentProgress())


# The first new photograph sees the model's points; the other one only what the first one sees, and
# one photograph of the model.
_IN_TWO_ROUNDS = {0: range(0, 120), 3: range(0, 120), 4: range(60, 120)}


def test_found_photographs_place_points_for_others(rng: np.random.Generator) -> None:
    scene = _Scene(rng)
    tracks = scene.tracks(_IN_TWO_ROUNDS)
    outcomes = scene.found(tracks)
    assert [outcome.points for outcome in outcomes] == [40, 60]
    for n, outcome in enumerate(outcomes, start=_NEW):
        assert outcome.pose is not None
        assert np.abs(outcome.pose.cam_from_world.matrix() - _pose(n).matrix()).max() < 1e-3
        assert outcome.pose.camera.camera_id == 1
    alone = scene.tracks({0: range(0, 120), 4: range(60, 120)})
    assert [outcome.reason[:15] for outcome in scene.found(alone)] == [
        "too few matches",
        "too few points ",
    ]


def test_extended_model_has_all_that_is_seen(rng: np.random.Generator) -> None:
    scene = _Scene(rng)
    tracks = scene.tracks(_IN_TWO_ROUNDS)
    poses = _poses(scene.found(tracks))
    extended = extend(scene.model, scene.photos, tracks, poses, _CONFIG, lambda _: _RGB)
    refine_new(extended, scene.model, _CONFIG.max_error_px)
    assert registering.differences(scene.model, extended) == []
    assert extended.is_valid()
    assert extended.num_points3D() == 120
    assert extended.image(4).num_points3D == 120
    assert extended.image(5).num_points3D == 60
    # What the model's photographs see of new points stands after what they had.
    assert len(extended.image(1).points2D) == 40 + 80
    assert len(extended.image(2).points2D) == 40
    xyz = np.array([point.xyz for _, point in sorted(extended.points3D.items())])
    assert np.abs(xyz - scene.xyz).max() < 1e-3
    assert extended.point3D(41).color.tolist() == [10, 20, 30]


def _poses(outcomes: list[Outcome]) -> dict[int, Pose]:
    return {
        s: outcome.pose
        for s, outcome in enumerate(outcomes, start=_NEW)
        if outcome.pose is not None
    }


def test_wrong_observations_are_not_added(rng: np.random.Generator) -> None:
    scene = _Scene(rng)
    tracks = scene.tracks(_IN_TWO_ROUNDS)
    wrong = [0, 1, 50, 51]  # two of the model's points and two others, in the first new photograph
    for k in wrong:
        rows = tracks.of_track(k)
        tracks.xy[rows[tracks.frame_index[rows] == _NEW]] += 40
    poses = _poses(scene.found(tracks))
    extended = extend(scene.model, scene.photos, tracks, poses, _CONFIG, lambda _: _RGB)
    refine_new(extended, scene.model, _CONFIG.max_error_px)
    for k in (0, 1):
        assert extended.point3D(k + 1).track.length() == 3
    error = [observed(extended, image).errors_px.max() for image in extended.images.values()]
    assert max(error) < 0.5


def test_a_point_is_seen_once_by_a_photograph(rng: np.random.Generator) -> None:
    scene = _Scene(rng)
    tracks = scene.tracks({0: range(0, 120), 3: range(0, 120)})
    tracks.point_ids[41] = 1  # another track over the first point, which fits it worse
    poses = _poses(scene.found(tracks))
    near = PointTracks(
        track_index=tracks.track_index,
        frame_index=tracks.frame_index,
        xy=np.where(
            (tracks.track_index == 41)[:, None],
            tracks.xy[tracks.of_track(0)[-1]] + 0.5,
            tracks.xy,
        ),
        point_ids=tracks.point_ids,
    )
    extended = extend(scene.model, scene.photos, near, poses, _CONFIG, lambda _: _RGB)
    elements = extended.point3D(1).track.elements
    (mine,) = [e for e in elements if e.image_id == 4]
    assert np.array_equal(extended.image(4).point2D(mine.point2D_idx).xy, near.xy[1])


def test_camera_of_a_rig_is_copied(rng: np.random.Generator) -> None:
    scene = _Scene(rng)
    poses = _poses(scene.found(scene.tracks(_IN_TWO_ROUNDS)))
    held = rigged.rigged()
    poses = {s: replace(pose, camera=held.camera(7)) for s, pose in poses.items()}
    nothing = PointTracks(
        track_index=np.empty(0, np.int64),
        frame_index=np.empty(0, np.int64),
        xy=np.empty((0, 2)),
        point_ids=np.empty(0, np.int64),
    )
    photos = Photographs(frames=scene.photos.frames, image_ids=tuple(sorted(held.images))[:3])
    extended = extend(held, photos, nothing, poses, _CONFIG, lambda _: _RGB)
    new = [image for i, image in extended.images.items() if not held.exists_image(i)]
    assert len(new) == 2
    assert len({image.camera_id for image in new}) == 1
    assert not held.exists_camera(new[0].camera_id)
    assert np.array_equal(extended.camera(new[0].camera_id).params, held.camera(7).params)
    assert not {image.frame_id for image in new} & set(held.frames)
    assert registering.differences(held, extended) == []
    assert extended.is_valid()


def test_tracks_name_the_point_that_most_of_their_places_show() -> None:
    frames = tuple(map(_frame, range(4)))
    model = _Scene(np.random.default_rng(0)).model
    seen = {s: observed(model, model.image(s + 1)) for s in range(3)}
    places = [seen[s].xy[5] + 0.3 for s in range(3)]  # within a pixel of the fifth point
    keypoints = [np.array([place, [1.0, 1.0]]) for place in places]
    keypoints.append(np.array([[300.0, 200.0], [2.0, 2.0]]))
    rows = np.array([[0, 0], [1, 1]])
    matches = verified_matches("sift", keypoints, {(s, 3): rows for s in range(3)})
    tracks = link_to_model(matches, frames, seen)
    assert sorted(tracks.point_ids.tolist()) == [NO_POINT, 6]
    n = int(np.flatnonzero(tracks.point_ids == 6)[0])
    assert tracks.frame_index[tracks.of_track(n)].tolist() == [0, 1, 2, 3]
    assert np.array_equal(tracks.xy[tracks.of_track(n)[0]], seen[0].xy[5])


def test_tracks_of_one_photograph_with_a_pose_have_no_place(rng: np.random.Generator) -> None:
    scene = _Scene(rng)
    tracks = scene.tracks({0: range(0, 120), 1: range(100, 120), 3: range(0, 120)})
    posed = scene.photos.posed(scene.model)
    places = triangulate(tracks, scene.photos.frames, scene.model, posed, _CONFIG)
    known = np.isfinite(places.xyz).all(axis=1)
    assert np.flatnonzero(known).tolist() == [*range(40), *range(100, 120)]
    assert np.abs(places.xyz[known] - scene.xyz[known]).max() < 1e-6

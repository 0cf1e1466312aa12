"""A background that stands still in all photographs does not win the vote where it is masked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray
from room import SIZE, network_matches, room

from vggt_sfm._log import SilentProgress
from vggt_sfm.scene import Frame, Predictions, Tracks
from vggt_sfm.tracking.build import build_tracks
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.guidance import Guidance, epipolar_distance

Array = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]

# The object is what is seen through a hole in the background, which shows the same in all frames.
LEFT, TOP, RIGHT, BOTTOM = 90, 60, 240, 190
MASK = np.zeros((SIZE.height, SIZE.width), bool)
MASK[TOP + 4 : BOTTOM - 4, LEFT + 4 : RIGHT - 4] = True
PAIR = (0, 1)
OBJECT = room(2, 30.0)  # moves in a way that no geometry of the still points explains


def images() -> list[UInt8]:
    rng = np.random.default_rng(3)
    blocks = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
    background = np.kron(blocks, np.ones((4, 4, 1), np.uint8))
    found = []
    for image in OBJECT.images:
        photograph = background.copy()
        photograph[TOP:BOTTOM, LEFT:RIGHT] = image[TOP:BOTTOM, LEFT:RIGHT]
        found.append(photograph)
    return found


def matched_points() -> tuple[Array, Array]:
    """400 points of the background, 80 of the object, in both photographs."""
    rng = np.random.default_rng(0)
    background = rng.uniform(0, SIZE, (4000, 2))
    background = background[~on_object(background)][:400]
    x, y = np.meshgrid(np.arange(LEFT, RIGHT, 10.0), np.arange(TOP, BOTTOM, 10.0))
    first = np.stack([x, y], axis=-1).reshape(-1, 2)
    true = Guidance(OBJECT.scene, OBJECT.predictions)
    second = true.locate(true.lift(0, first), 1)
    both = on_object(first) & on_object(second)
    first, second = first[both][:80], second[both][:80]
    assert len(first) == 80
    return np.concatenate([background, first]), np.concatenate([background, second])


def on_object(xy: Array) -> Bool:
    column, row = np.clip(np.floor(xy), 0, np.array(SIZE) - 1).astype(np.int64).T
    return np.asarray(MASK[row, column])


def database(path: Path) -> Path:
    with pycolmap.Database.open(path) as written:
        camera = pycolmap.Camera(
            model="SIMPLE_PINHOLE", width=SIZE.width, height=SIZE.height, params=[300, 160, 120]
        )
        camera_id = written.write_camera(camera)
        for s, xy in enumerate(matched_points()):
            image = pycolmap.Image(name=f"{s:03d}.png", camera_id=camera_id, image_id=s + 1)
            written.write_image(image, use_image_id=True)
            written.write_keypoints(s + 1, xy.astype(np.float32))
        rows = np.repeat(np.arange(480)[:, None], 2, axis=1).astype(np.uint32)
        written.write_matches(1, 2, rows)
    return path


def build(config: TrackConfig, predictions: Predictions, mask: Bool | None) -> Tracks:
    photographs = images()

    def read_image(frame: Frame) -> UInt8:
        return photographs[int(frame.name[:3])]

    return build_tracks(
        config,
        OBJECT.scene,
        predictions,
        SilentProgress(),
        read_image=read_image,
        read_mask=lambda frame: mask,
    )


def still(tracks: Tracks) -> float:
    """Return the share of tracks that do not move."""
    first, second = tracks.xy[::2], tracks.xy[1::2]
    return float(np.mean(np.linalg.norm(first - second, axis=1) < 1))


@pytest.mark.parametrize("source", ["guided", "sift", "network", "database"])
def test_the_object_keeps_its_matches(source: str, tmp_path: Path) -> None:
    predictions = OBJECT.predictions
    if source == "network":
        first, second = matched_points()
        predictions = replace(predictions, matches=network_matches({PAIR: (first / 2, second / 2)}))
    config = TrackConfig(
        feature_zoom=2.0,
        guided=source == "guided",
        sift=source == "sift",
        refine=False,
        database=database(tmp_path / "d.db") if source == "database" else None,
    )
    # unmasked, the many still points win; dropping them afterwards would leave what happens to
    # lie on lines through the point that their geometry chooses
    unmasked = build(config, predictions, None)
    assert still(unmasked) > 0.8
    moved = np.linalg.norm(unmasked.xy[::2] - unmasked.xy[1::2], axis=1) > 1
    left = int(np.sum(moved & on_object(unmasked.xy[::2])))
    tracks = build(config, predictions, MASK)
    assert tracks.source_names == (source,)
    # windows keep many of them even without a mask
    assert len(tracks.xyz) >= max(20, (1.1 if source == "guided" else 1.4) * left)
    assert on_object(tracks.xy).all()
    assert still(tracks) < 0.2
    distance = epipolar_distance(
        Guidance(OBJECT.scene, OBJECT.predictions).fundamental(*PAIR),
        tracks.xy[::2],
        tracks.xy[1::2],
    )
    assert np.median(distance) < 1
    assert np.mean(distance < 4) > 0.9


def test_masked_matches_do_not_widen_windows() -> None:
    first, second = matched_points()
    first, second = (np.concatenate([xy] * 2) for xy in (first, second))
    matches = network_matches({PAIR: (first / 2, second / 2)})
    predictions = replace(OBJECT.predictions, matches=matches)
    wide = Guidance(OBJECT.scene, predictions).window(*PAIR)
    seen: list[float] = []

    class Spy(Guidance):
        def window(self, i: int, j: int):  # type: ignore[no-untyped-def]
            found = super().window(i, j)
            seen.append(found.radius)
            return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vggt_sfm.tracking.build.Guidance", Spy)
        build(TrackConfig(feature_zoom=1.0, refine=False), predictions, MASK)
    assert wide.radius > 30
    assert max(seen) == pytest.approx(0.02 * max(SIZE))  # the least there is

"""A result whose world is known stays there; one whose world is not is placed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adjusting import seeded
from synthetic import synthetic_scene

from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.pipelines.placed import in_metres
from vggt_sfm.placing.config import Distance, PlaceConfig
from vggt_sfm.placing.report import PlacementReport, Similarity
from vggt_sfm.priors.world import KnownWorld
from vggt_sfm.scene import GpsPosition

HERE = Similarity(scale=2.0, quat_xyzw=(0.0, 0.0, 0.0, 1.0), translation=(0.0, 0.0, 0.0))


def place_of(opened: OpenedModel) -> list[float]:
    return list(opened.model.images[1].projection_center())


@pytest.mark.parametrize("known", [None, PlacementReport(source="positions", applied=True)])
def test_gps_moves_no_known_world_unless_it_is_asked_for(known: PlacementReport | None) -> None:
    data = synthetic_scene(num_frames=6, num_points=20)
    frames = [
        replace(
            frame,
            gps=GpsPosition(
                latitude_deg=y / 1e4, longitude_deg=x / 1e4, altitude_m=z, sigma_m=0.01
            ),
        )
        for frame, (x, y, z) in zip(
            data.scene.frames, 10 * invert(data.cam_from_world)[:, :, 3], strict=True
        )
    ]
    opened = OpenedModel(model=seeded(data), frames={})
    world = KnownWorld(known_from_predicted=HERE, placement=known)
    left, placement = in_metres(opened, frames, PlaceConfig(), world)
    assert left.model is opened.model
    assert left.unit == ("scene" if known is None else "m")
    assert placement.applied == (known is not None)
    asked, placement = in_metres(opened, frames, PlaceConfig(gps="yes"), world)
    assert (placement.source, asked.georeferenced) == ("gps", True)
    assert place_of(asked) != place_of(opened)
    unknown, _ = in_metres(opened, frames, PlaceConfig(), KnownWorld())
    assert unknown.georeferenced


def test_known_metres_stay_where_a_distance_cannot_be_told() -> None:
    model = seeded(synthetic_scene(num_frames=3, num_points=20))
    frames = synthetic_scene(num_frames=3).scene.frames
    known = PlacementReport(source="positions", applied=True)
    world = KnownWorld(known_from_predicted=HERE, placement=known)
    far = Distance(start="000.png", end="001.png@10000,10", metres=1)
    opened = OpenedModel(model=model, frames={})
    left, placement = in_metres(opened, frames, PlaceConfig(distances=(far,)), world)
    assert (left.unit, placement) == ("m", known)

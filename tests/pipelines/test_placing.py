"""What gives a run metres: distances, positions and GPS, from photographs to files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import photos
import pycolmap
import pytest
from PIL import ExifTags, Image

from vggt_sfm import InputError, ReconstructConfig, ReconstructionError, reconstruct
from vggt_sfm.io.colmap import read_sparse
from vggt_sfm.pipelines.opened import open_model
from vggt_sfm.placing.config import Distance, PlaceConfig

pytestmark = pytest.mark.usefixtures("simulated_predictor")

COUNT = 5
METRES_PER_UNIT = 2.5  # of the room, whose photographs are the truth
# The adjusted cameras of the room are exact to about a hundredth of what separates them.
CLOSE = 0.02


def true_centers() -> np.ndarray:
    poses = np.stack([view.cam_from_world for view in photos.views(COUNT)])
    return -np.einsum("sji,sj->si", poses[:, :, :3], poses[:, :, 3])


def centers(model: pycolmap.Reconstruction) -> np.ndarray:
    images = sorted(model.images.values(), key=lambda image: image.name)
    return np.array([image.projection_center() for image in images])


def between(xyz: np.ndarray) -> np.ndarray:
    return np.linalg.norm(xyz[:, None] - xyz, axis=2)


def names(room: Path) -> list[str]:
    return sorted(path.name for path in room.iterdir())


def test_a_distance_scales_everything_that_is_written(room: Path, tmp_path: Path) -> None:
    first, *_, last = names(room)
    metres = METRES_PER_UNIT * between(true_centers())[0, -1]
    distance = Distance(start=first, end=last, metres=float(metres))
    plain = reconstruct(room, tmp_path / "plain", ReconstructConfig(report=False))
    config = ReconstructConfig(place=PlaceConfig(distances=(distance,)), export=("depth-npz",))
    result = reconstruct(room, tmp_path / "out", config)
    placement = result.report.placement
    assert placement is not None
    assert placement.applied
    assert 0 < (placement.scale_sigma or 0) < 0.1
    model = result.reconstruction()
    expected = METRES_PER_UNIT * between(true_centers())
    assert np.abs(between(centers(model)) - expected).max() < CLOSE * expected.max()
    ratio = between(centers(model))[0, 1] / between(centers(plain.reconstruction()))[0, 1]
    assert ratio == pytest.approx(placement.scale)
    with np.load(tmp_path / "out" / "depth" / f"{first}.npz") as depth:
        seen = depth["depth"][depth["depth"] > 0]
        assert str(depth["unit"]) == "m"
    assert np.median(seen) == pytest.approx(METRES_PER_UNIT * 5, rel=0.3)
    assert b"comment unit m" in (tmp_path / "out" / "points.ply").read_bytes()[:200]
    assert "One unit is one metre" in (tmp_path / "out" / "report.html").read_text()


def test_a_placed_run_is_opened_in_metres(room: Path, tmp_path: Path) -> None:
    listed = [
        f"{name},{','.join(str(v) for v in METRES_PER_UNIT * xyz + (100, 200, 300))}"
        for name, xyz in zip(names(room), true_centers(), strict=True)
    ]
    (tmp_path / "positions.csv").write_text("\n".join(listed))
    config = ReconstructConfig(place=PlaceConfig(positions=tmp_path / "positions.csv"))
    reconstruct(room, tmp_path / "out", config)
    opened = open_model(tmp_path / "out")
    assert opened.unit == "m"
    given = METRES_PER_UNIT * true_centers() + (100, 200, 300)
    assert np.abs(centers(opened.model) - given).max() < 0.2
    assert opened.before is not None
    assert np.abs(centers(opened.before) - given).max() < 2  # before the adjustment, same world
    written = read_sparse(tmp_path / "out" / "sparse" / "0")
    assert np.array_equal(centers(written), centers(opened.model))


def with_gps(room: Path, folder: Path, noise_m: float) -> None:
    """Copy the photographs to Paris, x being east and the photographs' y down."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    for name, (x, y, z) in zip(names(room), 20 * true_centers(), strict=True):
        east, north, up = np.array([x, z, -y]) + rng.normal(0, noise_m, 3)
        exif = Image.Exif()
        latitude = 48.85 + north / 111_200
        longitude = 2.35 + east / (111_320 * np.cos(np.radians(48.85)))
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(
            {
                ExifTags.GPS.GPSLatitudeRef: "N",
                ExifTags.GPS.GPSLatitude: (latitude, 0.0, 0.0),
                ExifTags.GPS.GPSLongitudeRef: "E",
                ExifTags.GPS.GPSLongitude: (longitude, 0.0, 0.0),
                ExifTags.GPS.GPSAltitudeRef: b"\0",
                ExifTags.GPS.GPSAltitude: 50 + up,
                ExifTags.GPS.GPSHPositioningError: max(noise_m, 0.05),
            }
        )
        with Image.open(room / name) as image:
            image.convert("RGB").save(folder / f"{Path(name).stem}.jpg", quality=95, exif=exif)


def test_gps_places_a_model_where_it_is_good_enough(room: Path, tmp_path: Path) -> None:
    with_gps(room, tmp_path / "images", noise_m=0.05)
    (tmp_path / photos.TRUTH_FILE).write_bytes((room.parent / photos.TRUTH_FILE).read_bytes())
    result = reconstruct(tmp_path / "images", tmp_path / "out")
    placement = result.report.placement
    assert placement is not None
    assert (placement.source, placement.applied) == ("gps", True)
    assert placement.origin is not None
    assert placement.origin.latitude_deg == pytest.approx(48.85, abs=1e-3)
    found = between(centers(result.reconstruction()))
    assert found[0, -1] == pytest.approx(20 * between(true_centers())[0, -1], rel=0.05)
    transforms = reconstruct_export(tmp_path)
    assert transforms["applied_transform"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


def reconstruct_export(folder: Path) -> dict:
    config = ReconstructConfig(export=("nerfstudio",), report=False)
    reconstruct(folder / "images", folder / "out", config)
    return json.loads((folder / "out" / "transforms.json").read_text())


def test_bad_gps_is_told_and_left(room: Path, tmp_path: Path) -> None:
    with_gps(room, tmp_path / "images", noise_m=30)
    (tmp_path / photos.TRUTH_FILE).write_bytes((room.parent / photos.TRUTH_FILE).read_bytes())
    result = reconstruct(tmp_path / "images", tmp_path / "out")
    placement = result.report.placement
    assert placement is not None
    assert not placement.applied
    assert placement.reason
    assert open_model(tmp_path / "out").unit == "scene"
    assert "The scale is arbitrary" in (tmp_path / "out" / "report.html").read_text()


def test_names_that_are_none_are_told_before_the_work(room: Path, tmp_path: Path) -> None:
    distance = Distance(start="nobody.jpg", end=names(room)[0], metres=1)
    config = ReconstructConfig(place=PlaceConfig(distances=(distance,)))
    with pytest.raises(InputError, match=r"no photograph is called nobody\.jpg"):
        reconstruct(room, tmp_path / "out", config)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [stage["name"] for stage in run["stages"]] == ["ingest"]


def test_a_distance_that_the_model_cannot_tell_loses_nothing(room: Path, tmp_path: Path) -> None:
    first = names(room)[0]
    distance = Distance(start=first, end=f"{first}@10000,10", metres=1)
    config = ReconstructConfig(place=PlaceConfig(distances=(distance,)))
    result = reconstruct(room, tmp_path / "out", config)
    assert result.report.status == "adjusted"
    assert result.report.placement is not None
    assert "outside the photograph" in (result.report.placement.reason or "")
    with pytest.raises(ReconstructionError, match=r"no metric scale: .*outside the photograph"):
        reconstruct(room, tmp_path / "out", replace(config, strict=True))

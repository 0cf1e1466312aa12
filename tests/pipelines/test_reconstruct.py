"""Whole runs on a small scene, with a SIMULATED predictor and everything else real."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.errors import InputError, ReconstructionError
from vggt_sfm.io.colmap import read_sparse
from vggt_sfm.pipelines import reconstruct as module
from vggt_sfm.pipelines import stages
from vggt_sfm.pipelines.config import IngestConfig, ReconstructConfig
from vggt_sfm.pipelines.gather import default_output
from vggt_sfm.pipelines.reconstruct import reconstruct
from vggt_sfm.pipelines.result import ReconstructResult
from vggt_sfm.tracking.config import TrackConfig

pytestmark = pytest.mark.usefixtures("simulated_predictor")

NO_BA = ReconstructConfig(ba=False)


def _ran(result: ReconstructResult) -> list[str]:
    return [stage.name for stage in result.report.stages if not stage.cached]


def test_run_leaves_a_model_in_the_pixels_of_the_photographs(room: Path, tmp_path: Path) -> None:
    result = reconstruct(room, tmp_path / "out")
    assert result.report.status == "adjusted"
    model = pycolmap.Reconstruction(tmp_path / "out" / "sparse" / "0")
    assert [model.images[n].name for n in sorted(model.images)] == [
        f"img{n}.jpg" for n in range(1, 6)
    ]
    assert {(camera.width, camera.height) for camera in model.cameras.values()} == {(320, 240)}
    for image in model.images.values():
        xy = np.array([point.xy for point in image.points2D if point.has_point3D()])
        assert len(xy) > 20
        assert ((xy >= 0) & (xy <= (320, 240))).all()
    assert result.report.mean_reprojection_error_px == model.compute_mean_reprojection_error()
    assert result.report.mean_reprojection_error_px < 1
    assert result.report.num_points == model.num_points3D()
    assert (
        b"element vertex %d\n" % model.num_points3D() in (tmp_path / "out/points.ply").read_bytes()
    )
    assert result.reconstruction().num_points3D() == model.num_points3D()


def test_run_file_says_what_happened(room: Path, tmp_path: Path) -> None:
    result = reconstruct(room, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (told["schema"], told["ok"], told["status"]) == (1, True, "adjusted")
    assert [stage["name"] for stage in told["stages"]] == list(stages.STAGES)
    assert all(len(stage["key"]) == 64 and stage["seconds"] >= 0 for stage in told["stages"])
    assert max(stage["cpu_seconds"] for stage in told["stages"]) > 0
    assert {image["status"] for image in told["images"]} == {"refined"}
    assert {image["camera_source"] for image in told["images"]} == {"simulated"}
    counts = {image.name: image.num_points3D for image in result.reconstruction().images.values()}
    assert {image["name"]: image["observations"] for image in told["images"]} == counts
    assert sum(counts.values()) == told["num_observations"]
    assert told["network"] == {
        "name": "simulated",
        "weights_sha256": "0" * 64,
        "licence": "none, it is simulated",
        "commit": None,
        "device": "cpu",
    }
    assert told["bundle"]["status"] == "refined"
    assert told["versions"]["pycolmap"] == pycolmap.__version__
    assert told["config"]["track"]["max_features"] == TrackConfig().max_features


def test_second_run_changes_nothing_and_keeps_every_byte(room: Path, tmp_path: Path) -> None:
    first = reconstruct(room, tmp_path / "out")
    before = _product(tmp_path / "out")
    second = reconstruct(room, tmp_path / "out")
    assert _ran(first) == list(stages.STAGES)
    assert _ran(second) == ["seed", "export"]
    assert _product(tmp_path / "out") == before
    assert second.report.bundle == first.report.bundle
    reconstruct(room, tmp_path / "elsewhere")
    assert _product(tmp_path / "elsewhere") == before


def test_options_invalidate_only_what_depends_on_them(room: Path, tmp_path: Path) -> None:
    config = ReconstructConfig()
    reconstruct(room, tmp_path / "out", config)
    less = replace(config, adjust=BundleConfig(max_error_px=3.0))
    assert _ran(reconstruct(room, tmp_path / "out", less)) == ["seed", "adjust", "export"]
    fewer = replace(config, track=TrackConfig(max_features=500))
    assert _ran(reconstruct(room, tmp_path / "out", fewer)) == [
        "track",
        "seed",
        "adjust",
        "export",
    ]
    forced = reconstruct(room, tmp_path / "out", replace(config, force="adjust"))
    assert _ran(forced) == ["seed", "adjust", "export"]


def test_until_stops_without_a_model_and_the_next_run_goes_on(room: Path, tmp_path: Path) -> None:
    stopped = reconstruct(room, tmp_path / "out", ReconstructConfig(until="track"))
    assert (stopped.report.status, stopped.report.line) == ("stopped", "stopped after track")
    assert stopped.sparse is None
    assert not (tmp_path / "out" / "sparse").exists()
    with pytest.raises(ReconstructionError, match="no model: stopped after track"):
        stopped.reconstruction()
    assert _ran(reconstruct(room, tmp_path / "out")) == ["seed", "adjust", "export"]


def test_changed_photograph_is_noticed_though_its_name_and_size_are_the_same(
    room: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for path in room.glob("*.jpg"):
        (folder / path.name).write_bytes(path.read_bytes())
    (tmp_path / "truth.json").write_bytes((room.parent / "truth.json").read_bytes())
    reconstruct(folder, tmp_path / "out", NO_BA)
    raw = bytearray((folder / "img3.jpg").read_bytes())
    raw[-1200] ^= 0x01
    (folder / "img3.jpg").write_bytes(raw)
    assert "ingest" in _ran(reconstruct(folder, tmp_path / "out", NO_BA))


def test_feed_forward_model_is_on_disk_before_the_adjustment_starts(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[pycolmap.Reconstruction] = []

    def broken(*_: object) -> None:
        seen.append(read_sparse(tmp_path / "out" / "sparse" / "0"))
        raise ReconstructionError("adjustment broke")

    monkeypatch.setattr(stages, "adjust", broken)
    with pytest.raises(ReconstructionError, match="adjustment broke"):
        reconstruct(room, tmp_path / "out")
    (model,) = seen
    assert model.num_images() == 5
    assert model.compute_mean_track_length() > 2
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (told["ok"], told["status"], told["error"]) == (False, "failed", "ReconstructionError")
    assert told["line"] == "adjustment broke"
    assert read_sparse(tmp_path / "out" / "sparse" / "0").num_points3D() == model.num_points3D()


REJECTING = ReconstructConfig(adjust=BundleConfig(min_observations=100000), rescue=False)


def test_rejected_adjustment_leaves_the_feed_forward_model(room: Path, tmp_path: Path) -> None:
    result = reconstruct(room, tmp_path / "out", REJECTING)
    assert result.report.ok
    assert result.report.status == "feed-forward"
    assert result.report.reason is not None
    assert result.report.reason.startswith("adjustment ")
    assert {image.status for image in result.report.images} == {"registered"}
    reconstruct(room, tmp_path / "plain", NO_BA)
    assert _product(tmp_path / "out") == _product(tmp_path / "plain")
    assert _ran(reconstruct(room, tmp_path / "out", REJECTING)) == ["seed", "export"]


def test_strict_turns_a_rejected_adjustment_into_an_error(room: Path, tmp_path: Path) -> None:
    with pytest.raises(ReconstructionError, match=r"--strict: feed-forward: adjustment"):
        reconstruct(room, tmp_path / "out", replace(REJECTING, strict=True))
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (told["ok"], told["status"]) == (False, "feed-forward")
    assert read_sparse(tmp_path / "out" / "sparse" / "0").num_images() == 5
    reconstruct(room, tmp_path / "fine", ReconstructConfig(strict=True))


def test_killed_run_is_told_from_a_finished_one(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconstruct(room, tmp_path / "out", NO_BA)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_run_stages", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(room, tmp_path / "out", NO_BA)
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (told["ok"], told["status"]) == (False, "unfinished")


def test_missing_images_leave_no_folder_behind(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "gone"):
        with pytest.raises(InputError):
            reconstruct(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_default_output_lies_beside_the_images(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_output(room) == room.parent / "vggt-sfm-out"
    assert default_output([str(room)]) == room.parent / "vggt-sfm-out"
    monkeypatch.chdir(tmp_path)
    assert default_output(str(room / "*.jpg")) == tmp_path / "vggt-sfm-out"
    assert default_output([room / "img1.jpg", room / "img2.jpg"]) == tmp_path / "vggt-sfm-out"
    monkeypatch.chdir(room)
    assert default_output(".") == room.parent / "vggt-sfm-out"


def _product(output: Path) -> dict[str, bytes]:
    """Return every byte that users get."""
    files = [output / "points.ply", *(output / "sparse" / "0").iterdir()]
    return {path.name: path.read_bytes() for path in files}


def test_weights_of_the_environment_are_those_of_the_record(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VGGT_SFM_WEIGHTS", str(tmp_path / "mine.pt"))
    reconstruct(room, tmp_path / "out", ReconstructConfig(until="ingest"))
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert told["config"]["predict"]["weights"] == str(tmp_path / "mine.pt")


def test_masks_keep_the_model_off_and_are_noticed_when_they_change(
    room: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    hidden = np.full((240, 320), 255, np.uint8)
    hidden[:, :107] = 0
    for n in range(1, 4):
        Image.fromarray(hidden).save(masks / f"img{n}.jpg.png")
    config = replace(NO_BA, ingest=IngestConfig(masks=masks))
    model = reconstruct(room, tmp_path / "out", config).reconstruction()
    left = {image.name: min(p.xy[0] for p in image.points2D) for image in model.images.values()}
    assert min(left[f"img{n}.jpg"] for n in range(1, 4)) >= 107
    assert left["img4.jpg"] < 107
    assert _ran(reconstruct(room, tmp_path / "out", config)) == ["seed", "export"]
    Image.fromarray(hidden[:, ::-1]).save(masks / "img1.jpg.png")
    again = reconstruct(room, tmp_path / "out", config)
    assert _ran(again) == ["ingest", "predict", "know", "track", "seed", "export"]
    Image.fromarray(hidden[:100]).save(masks / "img2.jpg.png")
    with pytest.raises(InputError, match=r"img2\.jpg\.png: the mask has 320 x 100 px"):
        reconstruct(room, tmp_path / "out", config)


def test_masks_among_the_images_are_no_images(room: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(room, folder)
    (folder / "masks").mkdir()
    Image.new("L", (320, 240), 255).save(folder / "masks" / "img1.png")
    config = ReconstructConfig(ingest=IngestConfig(masks=folder / "masks"), until="ingest")
    reconstruct(folder, tmp_path / "out", config)
    with pytest.raises(InputError, match=r"all 6 images lie in .* folders of their own"):
        reconstruct(
            folder,
            tmp_path / "out",
            replace(config, ingest=IngestConfig(masks=folder)),
        )


def test_database_is_another_source_and_known_by_its_content(room: Path, tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    pycolmap.extract_features(path, room, device=pycolmap.Device.cpu)
    pycolmap.match_exhaustive(path, device=pycolmap.Device.cpu)
    config = replace(NO_BA, track=TrackConfig(database=path, guided=False))
    before = path.read_bytes()
    alone = reconstruct(room, tmp_path / "out", config)
    assert alone.report.num_points > 100
    assert {image.status for image in alone.report.images} == {"registered"}
    assert path.read_bytes() == before
    elsewhere = path.rename(tmp_path / "elsewhere.db")
    moved = replace(NO_BA, track=TrackConfig(database=elsewhere, guided=False))
    assert _ran(reconstruct(room, tmp_path / "out", moved)) == ["seed", "export"]
    with pycolmap.Database.open(elsewhere) as database:
        database.clear_two_view_geometries()
        database.clear_matches()
    emptied = reconstruct(room, tmp_path / "out", moved)
    assert _ran(emptied) == ["track", "seed", "export"]
    assert emptied.report.num_points == 0
    with pytest.raises(InputError, match=r"gone\.db: No such file"):
        reconstruct(
            room, tmp_path / "out", replace(NO_BA, track=TrackConfig(database=tmp_path / "gone.db"))
        )


def test_saved_database_has_the_points_of_the_exported_model(room: Path, tmp_path: Path) -> None:
    result = reconstruct(room, tmp_path / "out", ReconstructConfig(save_database=True))
    with pycolmap.Database.open(tmp_path / "out" / "database.db") as database:
        for image_id, image in result.reconstruction().images.items():
            assert database.read_image(image_id).name == image.name
            xy = np.array([point.xy for point in image.points2D], np.float32)
            np.testing.assert_array_equal(database.read_keypoints(image_id), xy)
        assert database.num_verified_image_pairs() == database.num_matched_image_pairs() > 3
    track = TrackConfig(database=tmp_path / "out" / "database.db")
    with pytest.raises(InputError, match="which --database reads"):
        reconstruct(room, tmp_path / "out", ReconstructConfig(save_database=True, track=track))

"""Two cameras on a rig, from rig_config.json to the model and what is made of it; SIMULATED."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import photos
import pycolmap
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.errors import InputError
from vggt_sfm.export.words import ExportWord
from vggt_sfm.geometry.rigid import compose, invert
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.io.models import read_model
from vggt_sfm.pipelines.adjusting import adjust_model
from vggt_sfm.pipelines.config import IngestConfig, ReconstructConfig
from vggt_sfm.pipelines.exporting import export
from vggt_sfm.pipelines.opened import open_model
from vggt_sfm.pipelines.reconstruct import reconstruct
from vggt_sfm.pipelines.result import ReconstructResult
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.viewer.content import content

pytestmark = pytest.mark.usefixtures("simulated_predictor")

Float64 = NDArray[np.float64]

# Neighbours on the arc stand to each other as the next ones do.
VIEWS = photos.views(6)
NAMES = [f"{side}{n}" for n in range(3) for side in ("left", "right")]
RIGHT_FROM_LEFT = compose(VIEWS[1].cam_from_world, invert(VIEWS[0].cam_from_world))
METRES = 2.0  # a unit of the room
SAME = 1e-9


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with three photographs of each camera."""
    folder = tmp_path_factory.mktemp("stereo") / "images"
    paths = photos.write_photos(folder, VIEWS)
    truth = json.loads((folder.parent / photos.TRUTH_FILE).read_text())
    renamed = {name: truth[path.stem] for name, path in zip(NAMES, paths, strict=True)}
    (folder.parent / photos.TRUTH_FILE).write_text(json.dumps(renamed))
    for name, path in zip(NAMES, paths, strict=True):
        path.rename(path.with_stem(name))
    return folder


def rig_file(path: Path, right_from_left: Float64 | None) -> Path:
    right: dict[str, Any] = {"image_prefix": "right"}
    if right_from_left is not None:
        x, y, z, w = Rotation.from_matrix(right_from_left[:, :3]).as_quat().tolist()
        right["cam_from_rig_rotation"] = [w, x, y, z]
        right["cam_from_rig_translation"] = right_from_left[:, 3].tolist()
    cameras = [{"image_prefix": "left", "ref_sensor": True}, right]
    path.write_text(json.dumps([{"cameras": cameras}]))
    return path


def run(folder: Path, output: Path, rig: Path, **options: Any) -> ReconstructResult:
    config = ReconstructConfig(
        ingest=IngestConfig(rig=rig),
        track=TrackConfig(max_features=300),
        rescue=False,
        **options,
    )
    return reconstruct(folder, output, config)


def ran(result: ReconstructResult) -> list[str]:
    return [stage.name for stage in result.report.stages if not stage.cached]


def relative(model: pycolmap.Reconstruction) -> Float64:
    """(3, 3, 4) pose of the right camera beside the left one at each moment."""
    found = poses_by_name(model)
    return np.stack(
        [compose(found[f"right{n}.jpg"], invert(found[f"left{n}.jpg"])) for n in range(3)]
    )


def in_metres(pose: Float64) -> Float64:
    return np.column_stack([pose[:, :3], METRES * pose[:, 3]])


def test_a_known_rig_is_held_and_gives_metres(stereo: Path, tmp_path: Path) -> None:
    rig = rig_file(tmp_path / "rig.json", in_metres(RIGHT_FROM_LEFT))
    result = run(stereo, tmp_path / "out", rig, save_database=True)
    model = result.reconstruction()
    assert result.report.bundle is not None
    assert result.report.bundle.rig == "held: 2 cameras at 3 moments"
    assert [model.num_rigs(), model.num_frames(), model.num_cameras()] == [1, 3, 2]
    np.testing.assert_allclose(relative(model)[1], relative(model)[0], atol=SAME)
    np.testing.assert_allclose(relative(model)[0], in_metres(RIGHT_FROM_LEFT), atol=SAME)
    placement = result.report.placement
    assert placement is not None
    assert (placement.source, placement.applied) == ("rig", True)
    walked = model.images[3].projection_center() - model.images[1].projection_center()
    centers = [invert(VIEWS[n].cam_from_world)[:, 3] for n in (0, 4)]
    true = METRES * np.linalg.norm(centers[1] - centers[0])
    assert np.linalg.norm(walked) == pytest.approx(true, rel=0.03)
    page = (result.output / "report.html").read_text(encoding="utf-8")
    assert "One unit is one metre, by known distances between the cameras of a rig" in page
    again = run(stereo, tmp_path / "out", rig, save_database=True)
    assert not {"know", "adjust"} & set(ran(again))


def test_what_is_made_of_a_model_with_rigs(stereo: Path, tmp_path: Path) -> None:
    rig = rig_file(tmp_path / "rig.json", None)
    result = run(stereo, tmp_path / "out", rig, save_database=True)
    model = result.reconstruction()
    truth = poses_by_name(model)
    assert model.num_rigs() == 1
    assert result.report.placement is not None
    assert not result.report.placement.applied  # nothing says how long a baseline is
    with pycolmap.Database.open(result.output / "database.db") as database:
        assert [len(rig.non_ref_sensors) for rig in database.read_all_rigs()] == [1]
        assert [len(list(frame.image_ids)) for frame in database.read_all_frames()] == [2, 2, 2]
    opened = open_model(result.output)
    assert len(content(opened).cameras) == 6
    assert _apart(poses_by_name(opened.model), truth) < SAME
    words: list[ExportWord] = ["colmap", "colmap-text", "nerfstudio", "gsplat", "glb", "tum"]
    made = {one.word: one.path for one in export(result.output, words, tmp_path / "made")}
    for word in ("colmap", "colmap-text"):
        written = read_model(made[word])
        assert written.num_rigs() == 1
        assert _apart(poses_by_name(written), truth) < SAME
    assert _apart(poses_by_name(read_model(made["gsplat"])), truth) < SAME
    adjusted = adjust_model(result.output, tmp_path / "again")
    assert adjusted.report.remarks == ()
    assert adjusted.reconstruction().num_rigs() == 1
    assert np.ptp(relative(adjusted.reconstruction()), axis=0).max() < SAME


def test_the_content_of_a_rig_counts_and_what_does_not_fit_is_told_at_once(
    stereo: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run(stereo, output, rig_file(tmp_path / "a.json", None), report=False)
    same = rig_file(tmp_path / "b.json", None)
    assert "adjust" not in ran(run(stereo, output, same, report=False))
    other = rig_file(tmp_path / "c.json", RIGHT_FROM_LEFT)
    assert "adjust" in ran(run(stereo, output, other, report=False))
    none = rig_file(tmp_path / "d.json", 1.1 * RIGHT_FROM_LEFT)
    text = none.read_text().replace('"cam_from_rig_rotation": [', '"cam_from_rig_rotation": [9')
    none.write_text(text)
    with pytest.raises(InputError, match=r"--rig .*d\.json: cam_from_rig of right is no pose"):
        run(stereo, tmp_path / "none", none)
    assert not list((tmp_path / "none").glob("work/*predict*"))


def _apart(mine: dict[str, Float64], theirs: dict[str, Float64]) -> float:
    assert sorted(mine) == sorted(theirs)
    return max(float(np.abs(mine[name] - theirs[name]).max()) for name in theirs)

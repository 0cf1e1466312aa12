"""Starts that a plain adjustment cannot mend, with a SIMULATED predictor and all else real."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simulated
from photos import TRUTH_FILE
from PIL import Image
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float32
from vggt_sfm._log import Progress
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.metrics.pose import relative_pose_errors
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.opened import open_model
from vggt_sfm.pipelines.reconstruct import reconstruct
from vggt_sfm.pipelines.result import ReconstructResult
from vggt_sfm.scene import Predictions, Scene

WRONG = "img3.jpg"


class Turning(simulated.SimulatedPredictor):
    """Turns one camera by 60 degrees, and another one if other images come first."""

    def __init__(self, *turned: str) -> None:
        self.turned = turned
        self.calls = 0

    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        predictions = super().__call__(images, scene, progress)
        self.calls += 1
        poses = predictions.cam_from_world.copy()
        turn = Rotation.from_euler("y", 60, degrees=True).as_matrix()
        for s, frame in enumerate(scene.frames):
            if frame.name in self.turned:
                poses[s] = turn @ poses[s]
        return replace(predictions, cam_from_world=poses)


def errors(result: ReconstructResult, room: Path) -> np.ndarray:
    truth = json.loads((room.parent / TRUTH_FILE).read_text())
    poses = poses_by_name(result.reconstruction())
    wanted = np.array([truth[Path(name).stem]["cam_from_world"] for name in poses])
    return np.asarray(relative_pose_errors(np.stack(list(poses.values())), wanted).pose_deg)


@pytest.mark.usefixtures("simulated_predictor")
def test_a_good_result_is_not_rescued(room: Path, tmp_path: Path) -> None:
    result = reconstruct(room, tmp_path / "out")
    assert result.report.rescue is None
    assert [stage.name for stage in result.report.stages][-2:] == ["adjust", "export"]


@pytest.mark.usefixtures("simulated_predictor")
def test_cameras_that_start_60_degrees_wrong_end_right(room: Path, tmp_path: Path) -> None:
    predictor = Turning("img1.jpg", WRONG)
    plain = reconstruct(
        room, tmp_path / "plain", ReconstructConfig(rescue=False), predictor=predictor
    )
    assert plain.report.rescue is None
    result = reconstruct(room, tmp_path / "out", predictor=predictor)
    rescue = result.report.rescue
    assert (rescue is not None) == bool(errors(plain, room).max() > 5)
    assert errors(result, room).max() < 2
    assert open_model(tmp_path / "out").model.num_reg_images() == 5


@pytest.mark.usefixtures("simulated_predictor")
def test_a_photograph_of_something_else_is_named_and_stays(room: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "images"
    mixed.mkdir()
    for path in sorted(room.iterdir()):
        (mixed / path.name).write_bytes(path.read_bytes())
    (tmp_path / TRUTH_FILE).write_bytes((room.parent / TRUTH_FILE).read_bytes())
    noise = np.random.default_rng(7).integers(0, 255, (60, 80, 3), np.uint8)
    Image.fromarray(noise).resize((320, 240)).save(mixed / "other.png")
    predictor = Turning()
    result = reconstruct(mixed, tmp_path / "out", predictor=predictor)
    rescue = result.report.rescue
    assert rescue is not None
    assert rescue.images == ("other.png",)
    assert "other.png" in rescue.remaining
    assert [rung.name for rung in rescue.rungs] == ["more matches"]
    assert predictor.calls == 1  # other starts do not help what has no tracks
    outcome = {image.name: image for image in result.report.images}["other.png"]
    assert outcome.status == "predicted only"
    bundle = result.report.bundle
    assert bundle is not None
    assert {i.name: i.outlier_score for i in bundle.images}["other.png"] == 1
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert told["rescue"]["rungs"][0]["better"] is False
    again = reconstruct(mixed, tmp_path / "out", predictor=predictor)
    assert all(
        stage.cached for stage in again.report.stages if stage.name not in ("seed", "export")
    )

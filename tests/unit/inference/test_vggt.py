"""A checkpoint becomes predictions: cameras, depth, world points and followed points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import SMALL_VGGT
from safetensors.torch import load_file, save_file
from synthetic import plain_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.errors import CapabilityError, WeightsError
from vggt_sfm.inference import open_predictor
from vggt_sfm.inference import vggt as inference
from vggt_sfm.inference.vggt import VggtPredictor
from vggt_sfm.models import VGGT, VGGTConfig
from vggt_sfm.models.choice import PredictConfig, model_preprocessing
from vggt_sfm.models.heads.dense import FeatureHead
from vggt_sfm.models.records import EMBEDDED_WEIGHTS, record
from vggt_sfm.models.store import FoundWeights
from vggt_sfm.scene import Predictions, Scene, Size

SIZE = Size(84, 56)


@pytest.fixture(autouse=True)
def small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VGGTConfig, "preset", classmethod(lambda cls, name: SMALL_VGGT))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(VGGT(SMALL_VGGT).state_dict(), path)
    return path


def scene_of(frames: int) -> tuple[Scene, np.ndarray]:
    """Frames whose network input is SIZE, and images for them."""
    images = np.random.default_rng(0).random((frames, 3, SIZE.height, SIZE.width), np.float32)
    return plain_scene(frames, Size(2 * SIZE.width, 2 * SIZE.height)), images


def predict(checkpoint: Path, frames: int = 3, **options: object) -> Predictions:
    config = PredictConfig(weights=checkpoint, device="cpu", **options)  # type: ignore[arg-type]
    scene, images = scene_of(frames)
    return open_predictor(config)(images, scene, SilentProgress())


def test_cameras_and_depth(checkpoint: Path) -> None:
    assert model_preprocessing(PredictConfig(weights=checkpoint)).multiple == 14
    found = predict(checkpoint)
    assert found.cam_from_world.shape == (3, 3, 4)
    assert found.depth.shape == found.depth_confidence.shape == (3, 56, 84)
    np.testing.assert_allclose(found.intrinsics[:, :2, 2], np.tile([42.0, 28.0], (3, 1)))
    assert found.camera_sources == ("camera head",) * 3
    assert found.world_points is None


def test_predictions_are_those_of_one_pass(checkpoint: Path) -> None:
    model = VGGT(SMALL_VGGT).eval()
    model.load_state_dict(load_file(checkpoint))
    found = predict(checkpoint, point_source="point-head")
    with torch.inference_mode():
        out = model(torch.from_numpy(scene_of(3)[1])[None])
    np.testing.assert_allclose(found.depth, out.depth[0, ..., 0], rtol=1e-5)
    np.testing.assert_allclose(found.world_points, out.world_points[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.world_points_confidence, out.world_points_conf[0], rtol=1e-5)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[VGGTConfig]:
    """The models that are loaded from now on."""
    found: list[VGGTConfig] = []
    right = inference.load_vggt

    def spy(path: Path, config: VGGTConfig, **options: object) -> VGGT:
        found.append(config)
        return right(path, config, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(inference, "load_vggt", spy)
    return found


def test_heads_that_nobody_asked_for_are_not_built(
    checkpoint: Path, built: list[VGGTConfig]
) -> None:
    for frames, options in ((3, {}), (3, {"track_head": False}), (1, {})):
        predict(checkpoint, frames, **options)
    predict(checkpoint, point_source="point-head")
    heads = [(c.enable_camera, c.enable_depth, c.enable_point, c.enable_track) for c in built]
    assert heads == [
        (True, True, False, True),
        (True, True, False, False),
        (True, True, False, False),  # a single photo has nowhere to follow a point to
        (True, True, True, True),
    ]


def test_kept_weights_are_loaded_once_and_predict_the_same(
    checkpoint: Path, built: list[VGGTConfig]
) -> None:
    predictor = open_predictor(PredictConfig(weights=checkpoint, device="cpu"), keep=True)

    def kept(frames: int) -> Predictions:
        scene, images = scene_of(frames)
        return predictor(images, scene, SilentProgress())

    first, again, other = kept(3), kept(3), kept(2)
    assert len(built) == 1
    for found, fresh in ((first, predict(checkpoint)), (other, predict(checkpoint, 2))):
        np.testing.assert_array_equal(found.depth, fresh.depth)
        np.testing.assert_array_equal(found.cam_from_world, fresh.cam_from_world)
        assert found.matches is not None
        assert fresh.matches is not None
        np.testing.assert_array_equal(found.matches.xy, fresh.matches.xy)
    np.testing.assert_array_equal(first.depth, again.depth)
    kept(1)  # without a track head
    assert len(built) == 4


def test_followed_points_are_matches_between_frames(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vggt_sfm.inference.point_tracks.MIN_CONFIDENCE", 0.0)
    found = predict(checkpoint, query_frames=2, query_points=30)
    assert found.matches is not None
    assert 30 < len(found.matches.xy) <= 2 * 2 * 30
    assert set(map(tuple, found.matches.pairs.tolist())) <= {(0, 1), (0, 2), (1, 2)}
    assert predict(checkpoint, track_head=False).matches is None


def test_images_too_small_for_the_tracker_are_not_tracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deep = replace(SMALL_VGGT, track_corr_levels=6)  # wants 64 px
    monkeypatch.setattr(VGGTConfig, "preset", classmethod(lambda cls, name: deep))
    save_file(VGGT(deep).state_dict(), tmp_path / "deep.safetensors")
    assert predict(tmp_path / "deep.safetensors").matches is None
    assert "below 64 px" in caplog.text


def test_bfloat16_is_near_float32(checkpoint: Path) -> None:
    exact = predict(checkpoint, track_head=False)
    low = predict(checkpoint, track_head=False, precision="bfloat16")
    assert low.depth.dtype == np.float32
    assert not np.array_equal(low.depth, exact.depth)
    np.testing.assert_allclose(low.depth, exact.depth, rtol=0.05)


def test_hundreds_of_frames(checkpoint: Path) -> None:
    found = predict(checkpoint, 250, query_frames=2, query_points=20, point_source="point-head")
    assert found.depth.shape == (250, 56, 84)
    assert found.world_points is not None
    assert found.world_points.shape == (250, 56, 84, 3)


@pytest.mark.parametrize("point_source", ["depth", "point-head"])
@pytest.mark.parametrize("frames", [1, 2])
def test_one_and_two_frames(checkpoint: Path, frames: int, point_source: str) -> None:
    found = predict(checkpoint, frames, point_source=point_source)
    assert len(found.depth) == frames
    assert (found.world_points is not None) == (point_source == "point-head")


def test_embedded_model_has_no_point_head() -> None:
    with pytest.raises(CapabilityError, match="--point-source depth"):
        open_predictor(PredictConfig(point_source="point-head"))


def test_embedded_model_by_path_is_named() -> None:
    with pytest.raises(WeightsError, match="leave --weights out"):
        open_predictor(PredictConfig(weights=EMBEDDED_WEIGHTS))


def test_user_s_word_against_the_record_is_refused(checkpoint: Path) -> None:
    for name, word in (("vggt-1b", "on"), ("vggt-tracker-fixed", "off")):
        found = FoundWeights(path=checkpoint, record=record(name), sha256="0" * 64)
        with pytest.raises(WeightsError, match=f"{name} was trained .* leave the option out"):
            VggtPredictor(
                found,
                PredictConfig(track_positions=word),
                torch.device("cpu"),  # type: ignore[arg-type]
            )


@pytest.mark.parametrize(("with_it", "without"), [(1.0, 9.0), (9.0, 1.0)])
def test_evidence_on_the_track_head_reaches_predictions(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, with_it: float, without: float
) -> None:
    # SIMULATED distances: random weights know no place, so their own are no evidence.
    right = inference.settle_positions

    def settle(
        measure: Callable[[bool], float | None], declared: bool | None, width: int
    ) -> tuple[bool, str | None]:
        assert measure(False) != measure(True) or measure(True) is None  # the real ones run too
        return right(lambda embed: with_it if embed else without, declared, width)

    monkeypatch.setattr(inference, "settle_positions", settle)
    used: list[bool] = []
    features = FeatureHead.forward

    def forward(self: FeatureHead, *arguments: object, **options: object) -> torch.Tensor:
        used.append(self.embed_positions)
        return features(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(FeatureHead, "forward", forward)
    declared = predict(checkpoint, track_positions="off")
    assert used[-1] is False
    undeclared = predict(checkpoint)
    assert used[-1] is (with_it < without)
    assert ["do not match" in remark for remark in declared.remarks] == [True] * used[-1]
    assert len(undeclared.remarks) == 1


def test_cameras_that_are_not_numbers_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    state = load_file(checkpoint)
    state["camera_head.pose_branch.fc2.bias"][:] = torch.nan
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(WeightsError, match="not numbers"):
        predict(tmp_path / "nan.safetensors")


def test_a_checkpoint_that_does_not_fit_is_refused_before_any_photo_is_read(
    checkpoint: Path, tmp_path: Path
) -> None:
    state = {k: v for k, v in load_file(checkpoint).items() if not k.startswith("track_head.")}
    save_file(state, tmp_path / "untracked.safetensors")
    config = PredictConfig(weights=tmp_path / "untracked.safetensors")
    with pytest.raises(WeightsError, match=r"has no track_head.*--predict\.no-track-head"):
        open_predictor(config)
    open_predictor(replace(config, track_head=False))

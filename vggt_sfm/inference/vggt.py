"""A VGGT checkpoint as a predictor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vggt_sfm._checks import Float32, Float64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.errors import WeightsError
from vggt_sfm.inference.point_tracks import Follower, match_by_following
from vggt_sfm.inference.track_positions import (
    median_distance,
    places_by_depth,
    settle_positions,
)
from vggt_sfm.models.checkpoint import check_checkpoint, load_vggt
from vggt_sfm.models.choice import PredictConfig
from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.device import select_precision
from vggt_sfm.models.heads.track import TrackHead, smallest_image_px
from vggt_sfm.models.layers import Block
from vggt_sfm.models.pose_encoding import decode_cameras
from vggt_sfm.models.records import VGGT_1B
from vggt_sfm.models.store import FoundWeights
from vggt_sfm.models.vggt import VGGT, VGGTOutput
from vggt_sfm.scene import Matches, Predictions, Scene, Size
from vggt_sfm.tracking.queries import (
    choose_points,
    choose_query_frames,
    frame_similarity,
    frames_to_follow,
)

_PROBE_FRAMES = 4  # that the track head's position embedding is checked on
_PROBE_POINTS = 64
_logger = get_logger(__name__)

Layers = Mapping[int, Tensor]


class VggtPredictor:
    """A published VGGT or a checkpoint of the user's.

    Raises:
        WeightsError: If the checkpoint does not fit, or the user's word on the track head
            contradicts the model's record.
    """

    advice: str | None = None
    needs_images = True

    def __init__(
        self,
        found: FoundWeights,
        options: PredictConfig,
        device: torch.device,
        *,
        keep: bool = False,
    ) -> None:
        self.name = found.record.name if found.record else f"{VGGT_1B} (a file of the user's)"
        self.weights_sha256 = found.sha256
        self.licence = found.licence
        self.commit = found.commit
        self.device = device.type
        self._weights = found.path
        self._options = options
        self._precision = select_precision(options.precision, device)
        self._track_positions = _declared_positions(found, options)
        self._config = replace(
            VGGTConfig.preset(found.record.preset if found.record else VGGT_1B),
            enable_point=options.point_source == "point-head",
            enable_track=options.track_head,
        )
        check_checkpoint(found.path, self._config)  # rather now than after a thousand photos
        self._keep = keep
        self._kept: tuple[VGGTConfig, VGGT] | None = None

    @torch.inference_mode()
    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        """Load the checkpoint and predict; see ``Predictor``."""
        size = (images.shape[-2], images.shape[-1])
        device = torch.device(self.device)
        model = self._load(self._config_for(len(images), size), progress)
        batch = torch.as_tensor(images, device=device)[None]
        low = torch.autocast(self.device, torch.bfloat16, enabled=self._precision == "bfloat16")
        with low, _counted_blocks(model, progress):
            layers = model.aggregator(batch)
        with progress.task("heads", 1) as task:
            output = model.read(layers, size)
            task.advance()
        predictions = _predictions(output, Size(size[1], size[0]))
        if model.track_head is None:
            return predictions
        similarity = frame_similarity(_descriptors(model.config, layers))
        remark = self._settle_track_positions(
            model.track_head, layers, images, scene, predictions, similarity
        )
        matches = self._follow(model.track_head, layers, images, scene, similarity, progress)
        return replace(predictions, matches=matches, remarks=(remark,) if remark else ())

    def _load(self, config: VGGTConfig, progress: Progress) -> VGGT:
        if self._kept is not None and self._kept[0] == config:
            return self._kept[1]
        self._kept = None  # never two at once
        model = load_vggt(
            self._weights,
            config,
            device=torch.device(self.device),
            precision=self._precision,
            progress=progress,
        )
        if self._keep:
            self._kept = config, model
        return model

    def _config_for(self, num_frames: int, size: tuple[int, int]) -> VGGTConfig:
        """Leave out a track head that would have nothing to do."""
        smallest = smallest_image_px(self._config)
        if self._config.enable_track and num_frames > 1 and min(size) < smallest:
            _logger.warning("images below %d px are too small for the track head", smallest)
        trackable = num_frames > 1 and min(size) >= smallest
        return replace(self._config, enable_track=self._config.enable_track and trackable)

    def _settle_track_positions(
        self,
        head: TrackHead,
        layers: Layers,
        images: Float32,
        scene: Scene,
        predictions: Predictions,
        similarity: Float64,
    ) -> str | None:
        """Switch the track head's position embedding on or off; return what is to be said."""
        query = int(choose_query_frames(similarity, 1)[0])
        frames = frames_to_follow(similarity, query, _PROBE_FRAMES - 1)
        some = {i: layer[:, torch.as_tensor(frames)] for i, layer in layers.items()}
        box = scene.pixel_maps[query].content_box()
        xy = choose_points(images[query], box, _PROBE_POINTS, np.empty((0, 2)))
        expected = places_by_depth(predictions, frames, xy)
        size = (images.shape[-2], images.shape[-1])

        def measure(embed: bool) -> float | None:
            head.feature_extractor.embed_positions = embed
            follow = Follower(head.tracker, head.feature_extractor(some, size))
            return median_distance(expected, follow(np.arange(len(frames)), xy).xy)

        embed, remark = settle_positions(measure, self._track_positions, size[1])
        head.feature_extractor.embed_positions = embed
        if remark:
            _logger.warning("%s", remark)
        return remark

    def _follow(
        self,
        head: TrackHead,
        layers: Layers,
        images: Float32,
        scene: Scene,
        similarity: Float64,
        progress: Progress,
    ) -> Matches:
        maps = head.feature_extractor(layers, (images.shape[-2], images.shape[-1]))
        return match_by_following(
            Follower(head.tracker, maps),
            images,
            scene.pixel_maps,
            similarity,
            query_frames=self._options.query_frames,
            query_points=self._options.query_points,
            progress=progress,
        )


def _declared_positions(found: FoundWeights, options: PredictConfig) -> bool | None:
    """Return whether the track head embeds positions, as the user or the record says."""
    said = {"auto": None, "on": True, "off": False}[options.track_positions]
    if found.record is None:
        return said
    published = found.record.track_position_embedding
    if said is not None and said != published:
        raise WeightsError(
            f"--predict.track-positions {options.track_positions}: the track head of "
            f"{found.record.name} was trained {'with' if published else 'without'} position "
            "embedding; leave the option out"
        )
    return published


def _descriptors(config: VGGTConfig, layers: Layers) -> Float32:
    """Return (S, C): each frame's mean patch token, early on, where it still speaks of itself."""
    special = 1 + config.num_register_tokens
    tokens = layers[config.dpt_layers[0]][0, :, special:, : config.embed_dim]
    return tokens.float().mean(dim=1).cpu().numpy()


def _predictions(output: VGGTOutput, size: Size) -> Predictions:
    if output.pose_enc_iters is None or output.depth is None or output.depth_conf is None:
        raise WeightsError("the checkpoint's configuration has no camera or no depth head")
    encoding = output.pose_enc_iters[-1, 0].float().cpu().numpy()
    if not np.isfinite(encoding).all():
        raise WeightsError(
            "the network's cameras are not numbers; the checkpoint is damaged, or --predict."
            "precision float32 is needed"
        )
    cam_from_world, intrinsics = decode_cameras(encoding, size)
    points, points_confidence = output.world_points, output.world_points_conf
    return Predictions(
        cam_from_world=cam_from_world,
        intrinsics=intrinsics,
        depth=_numpy(output.depth[0, ..., 0]),
        depth_confidence=_numpy(output.depth_conf[0]),
        camera_sources=("camera head",) * len(encoding),
        world_points=None if points is None else _numpy(points[0]),
        world_points_confidence=None if points_confidence is None else _numpy(points_confidence[0]),
    )


def _numpy(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor.float().cpu().numpy())


@contextmanager
def _counted_blocks(model: VGGT, progress: Progress) -> Iterator[None]:
    """Report the aggregator's blocks as they are done."""
    blocks = [module for module in model.aggregator.modules() if isinstance(module, Block)]
    with progress.task("network", len(blocks)) as task:
        hooks = [block.register_forward_hook(lambda *_: task.advance()) for block in blocks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

"""A tracker that is trained here, in minutes, follows what it should: no golden says that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from synthetic import plain_scene
from torch import Tensor

from vggt_sfm._log import SilentProgress
from vggt_sfm.inference.point_tracks import Follower, match_by_following
from vggt_sfm.models import VGGTConfig
from vggt_sfm.models.heads.track import STRIDE, Tracker
from vggt_sfm.scene import Size

CONFIG = VGGTConfig(track_features=16, track_corr_levels=3, track_corr_radius=3, track_hidden=48)
HEIGHT, WIDTH = 24, 32  # of the feature maps
MARGIN = 8
MOST_SHIFT = 5.0  # feature pixels


def shifted_maps(scenes: int, frames: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Make (B, S, F, h, w) maps of random features and the (B, S, 2) px each was moved by."""
    wide = (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    scenery = 3 * F.avg_pool2d(torch.randn(scenes, 16, *wide, generator=draw), 3, 1, 1)
    shift = MOST_SHIFT * (2 * torch.rand(scenes, frames, 2, generator=draw) - 1)
    shift[:, 0] = 0
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    place = torch.stack([x, y], dim=-1) + MARGIN - shift[:, :, None, None]  # (B, S, h, w, 2)
    grid = 2 * place / torch.tensor([wide[1] - 1, wide[0] - 1]) - 1
    maps = [F.grid_sample(scenery, grid[:, s], align_corners=True) for s in range(frames)]
    return torch.stack(maps, dim=1), shift


def train(steps: int) -> Tracker:
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(1)
    tracker = Tracker(CONFIG)
    optimizer = torch.optim.AdamW(tracker.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
    weight = 0.8 ** torch.arange(3, -1, -1)  # the last iteration counts most
    for _ in range(steps):
        maps, shift = shifted_maps(6, 3, draw)
        inside = torch.tensor([WIDTH, HEIGHT]) - 2 * MOST_SHIFT
        query = torch.rand(6, 12, 2, generator=draw) * inside + MOST_SHIFT
        truth = STRIDE * (query[:, None] + shift[:, :, None])
        off = (tracker(maps, STRIDE * query)[0] - truth).abs().mean((1, 2, 3, 4))
        optimizer.zero_grad()
        (weight * off).sum().backward()
        torch.nn.utils.clip_grad_norm_(tracker.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return tracker.eval()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_trained_tracker_matches_frames_that_were_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vggt_sfm.inference.point_tracks.MIN_CONFIDENCE", 0.0)  # it learns places
    monkeypatch.setattr("vggt_sfm.inference.point_tracks.MIN_VISIBILITY", 0.0)
    tracker = train(300)
    maps, shift = shifted_maps(1, 4, torch.Generator().manual_seed(2))
    size = Size(STRIDE * WIDTH, STRIDE * HEIGHT)
    with torch.inference_mode():
        matches = match_by_following(
            Follower(tracker, maps),
            np.full((4, 3, size.height, size.width), 0.5, np.float32),
            plain_scene(4, Size(2 * size.width, 2 * size.height)).pixel_maps,
            np.eye(4),
            query_frames=2,
            query_points=60,
            progress=SilentProgress(),
        )
    moved = STRIDE * shift[0].numpy()
    margin = STRIDE * MOST_SHIFT  # what is nearer to the border may have left the image
    errors, stillness = [], []
    for p, (i, j) in enumerate(matches.pairs.tolist()):
        xy, _ = matches.of_pair(p)
        seen = ((xy > margin) & (xy < np.tile(np.array(size) - margin, 2))).all(axis=1)
        flow = xy[seen, 2:] - xy[seen, :2]
        errors.append(np.linalg.norm(flow - (moved[j] - moved[i]), axis=1))
        stillness.append(np.full(len(flow), np.linalg.norm(moved[j] - moved[i])))
    error = np.concatenate(errors)
    assert len(error) > 50
    assert np.median(np.concatenate(stillness)) > 4  # px: standing still is no answer
    assert np.median(error) < 0.7
    assert (error < 2).mean() > 0.9

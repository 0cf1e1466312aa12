"""The sweep of depths, on descriptor maps whose geometry is known."""

from __future__ import annotations

import numpy as np
import torch

from vggt_sfm.models.tiny.relative import Edge
from vggt_sfm.models.tiny.sweep import HYPOTHESES, shared_matches, sweep

ROWS, COLUMNS = 12, 28  # cells of 8 px
FOCAL = 100.0
SHIFT = 4  # cells of 8 px between two views of a wall that faces them
BASELINE = 0.5
WALL = FOCAL * BASELINE / (8 * SHIFT)
STEP = 2.4 / (HYPOTHESES - 1)


def views_of_a_wall(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Descriptors, poses and intrinsics of cameras that stand in a row before a wall."""
    noise = torch.randn(1, 32, ROWS + 2, COLUMNS + 2, generator=torch.Generator().manual_seed(0))
    first = torch.nn.functional.normalize(torch.nn.functional.avg_pool2d(noise, 3, 1), dim=1)
    coarse = torch.cat([first.roll(-SHIFT * n, dims=3) for n in range(count)])
    poses = torch.eye(3, 4).repeat(count, 1, 1)
    poses[:, 0, 3] = -BASELINE * torch.arange(count)
    K = torch.tensor([[FOCAL, 0, 4.0 * COLUMNS], [0, FOCAL, 4.0 * ROWS], [0, 0, 1]])
    return coarse, poses, K.repeat(count, 1, 1)


def everyone(count: int) -> np.ndarray:
    return np.ones((count, count))


def found(alike: torch.Tensor, around: float) -> torch.Tensor:
    """Log depth of the best hypothesis of each cell."""
    return around - 1.2 + STEP * alike.argmax(1)


def test_cells_are_most_alike_at_their_depth() -> None:
    coarse, poses, K = views_of_a_wall(3)
    around = float(np.log(WALL)) + 0.5
    maps = torch.full((3, ROWS // 2, COLUMNS // 2), around)
    alike = sweep(coarse, maps, poses, K, everyone(3))
    assert alike.shape == (3, HYPOTHESES, ROWS // 2, COLUMNS // 2)
    # cells that the next camera sees too, not rolled around the edge of its image
    off = (found(alike, around) - np.log(WALL))[:2, :, 4:-4].abs()
    assert float(off.median()) <= STEP
    assert float((off < 3 * STEP).float().mean()) > 0.9


def test_the_world_may_be_turned() -> None:
    """Nothing may depend on the frame of the world, which here is turned and moved."""
    coarse, poses, K = views_of_a_wall(2)
    turned, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)))
    shift = poses[..., 3:] + poses[..., :3] @ torch.ones(3, 1)
    moved = torch.cat([poses[..., :3] @ turned, shift], dim=2)
    maps = torch.full((2, ROWS // 2, COLUMNS // 2), 1.0)
    before, after = (sweep(coarse, maps, p, K, everyone(2)) for p in (poses, moved))
    torch.testing.assert_close(before, after, atol=1e-3, rtol=0)


def test_frames_without_links_are_not_asked() -> None:
    coarse, poses, K = views_of_a_wall(3)
    links = np.zeros((3, 3))
    links[0, 1] = links[1, 0] = 5
    maps = torch.full((3, ROWS // 2, COLUMNS // 2), float(np.log(WALL)))
    alike = sweep(coarse, maps, poses, K, links)
    assert bool((alike[2] == 0).all())
    pair = sweep(coarse[:2], maps[:2], poses[:2], K[:2], everyone(2))
    torch.testing.assert_close(alike[:2], pair)


def test_what_is_behind_or_beside_the_others_is_unknown() -> None:
    coarse, poses, K = views_of_a_wall(2)
    poses[1, :, :3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))  # looks the other way
    alike = sweep(coarse, torch.zeros(2, ROWS // 2, COLUMNS // 2), poses, K, everyone(2))
    assert bool((alike == 0).all())


def test_links_are_numbers_of_matches() -> None:
    def edge(i: int, j: int, count: int) -> Edge:
        return Edge(
            i=i,
            j=j,
            rotation=np.eye(3),
            direction=np.array([1.0, 0, 0]),
            xy=np.zeros((count, 4)),
            confidence=np.ones(count),
            parallax_deg=1.0,
        )

    links = shared_matches([edge(0, 2, 7), edge(1, 2, 3)], 3)
    np.testing.assert_array_equal(links, [[0, 0, 7], [0, 0, 3], [7, 3, 0]])

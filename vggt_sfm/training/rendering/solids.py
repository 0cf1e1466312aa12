"""Where rays meet solids, in the solids' own frames. All depths are along the optical axis."""

from __future__ import annotations

import torch

NEAR = 0.05
FAR = 1e5


def box_distance(o: torch.Tensor, d: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    """Ray lengths (n,) to boxes, ``FAR`` where they miss; all arguments are (n, 3)."""
    enter, leave = _slabs(o, d, half)
    return torch.where((enter < leave) & (enter > NEAR), enter, FAR)


def enclosure_distance(o: torch.Tensor, d: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    """Ray lengths (n,) to the walls of boxes around the rays' origins."""
    _, leave = _slabs(o, d, half)
    return torch.where(leave > NEAR, leave, FAR)


def _slabs(
    o: torch.Tensor, d: torch.Tensor, half: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    inverse = 1.0 / torch.where(d.abs() < 1e-9, 1e-9, d)
    middle, reach = -o * inverse, half * inverse.abs()
    return (middle - reach).amax(-1), (middle + reach).amin(-1)


def ellipsoid_distance(o: torch.Tensor, d: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    """Ray lengths (n,) to ellipsoids."""
    o, d = o / half, d / half
    t = _near_root((d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1)
    return torch.where(t > NEAR, t, FAR)


def cylinder_distance(o: torch.Tensor, d: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    """Ray lengths (n,) to closed cylinders along y."""
    radius, height = half[:, 0], half[:, 1]
    ox, oz, dx, dz = o[:, 0], o[:, 2], d[:, 0], d[:, 2]
    side = _near_root(dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - radius**2)
    on_side = (o[:, 1] + side * d[:, 1]).abs() < height
    side = torch.where(on_side & (side > NEAR), side, FAR)
    dy = torch.where(d[:, 1].abs() < 1e-9, 1e-9, d[:, 1])
    cap = (-height * dy.sign() - o[:, 1]) / dy
    within = (ox + cap * dx) ** 2 + (oz + cap * dz) ** 2 < radius**2
    return torch.minimum(side, torch.where(within & (cap > NEAR), cap, FAR))


def _near_root(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Smaller root of a t² + 2 b t + c = 0, ``FAR`` where there is none."""
    discriminant = b * b - a * c
    t = (-b - discriminant.clamp(min=0).sqrt()) / a.clamp(min=1e-12)
    return torch.where(discriminant > 0, t, FAR)


def curved_normal(local: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    """Unit normals (n, 3) of ellipsoids at points of their surface, both (n, 3)."""
    return torch.nn.functional.normalize(local / half.square(), dim=-1)


def box_normal(local: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    """Unit normals (n, 3) of boxes."""
    scaled = local / half
    face = torch.nn.functional.one_hot(scaled.abs().argmax(-1), 3).float()
    return face * scaled.sign()


def cylinder_normal(local: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    """Unit normals (n, 3) of cylinders."""
    on_cap = local[:, 1].abs() > 0.9999 * half[:, 1]
    up = torch.stack([torch.zeros_like(on_cap).float(), local[:, 1].sign()], -1)[:, [0, 1, 0]]
    around = torch.nn.functional.normalize(local * local.new_tensor([1.0, 0.0, 1.0]), dim=-1)
    return torch.where(on_cap[:, None], up, around)

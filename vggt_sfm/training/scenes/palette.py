"""Random materials, and the solids that are made of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float64
from vggt_sfm.training.scenes.description import FACES, PLAIN, Material, Shape, Solid, turned

_SMALLEST_REPEAT = 0.12
_LARGEST_REPEAT = 1.2


@dataclass(slots=True, eq=False)
class Palette:
    """Draws everything that a scene needs by chance."""

    rng: np.random.Generator
    textures: int
    """Size of the texture bank."""
    plain_share: float = field(init=False)
    """Share of this scene's surfaces without texture."""

    def __post_init__(self) -> None:
        self.plain_share = float(self.rng.choice([0.05, 0.2, 0.5], p=[0.5, 0.35, 0.15]))

    def uniform(self, low: float, high: float) -> float:
        """Draw one number."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """Say yes in a share of the cases."""
        return bool(self.rng.random() < share)

    def several(self, low: int, high: int) -> int:
        """Draw a count from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def material(
        self, *, scale: float = 1.0, same_faces: bool = False, plain: bool | None = None
    ) -> Material:
        """Draw a material.

        Args:
            scale: Size of what it covers, about; larger things have coarser textures.
            same_faces: One texture on all faces.
            plain: Without texture or with; by default by chance.
        """
        rng = self.rng
        faces = rng.integers(0, self.textures, FACES)
        if same_faces:
            faces[:] = faces[0]
        bare = self.chance(self.plain_share) if plain is None else plain
        repeat = np.exp(rng.uniform(np.log(_SMALLEST_REPEAT), np.log(_LARGEST_REPEAT))) / scale
        return Material(
            texture=faces,
            repeat=PLAIN if bare else float(repeat),
            gloss=self.uniform(0.1, 1) if self.chance(0.2) else 0.0,
            detail=self.uniform(0.2, 0.9) if not bare and self.chance(0.6) else 0.0,
            detail_texture=int(rng.integers(0, self.textures)),
        )

    def solid(
        self,
        shape: Shape,
        center: ArrayLike,
        half: ArrayLike,
        *,
        material: Material | None = None,
        rotation: Float64 | None = None,
    ) -> Solid:
        """Make a solid, of a random material if none is given."""
        sizes = np.asarray(half, np.float64)
        return Solid(
            shape=shape,
            center=np.asarray(center, np.float64),
            half=sizes,
            material=material or self.material(scale=max(0.3, float(sizes.max()))),
            rotation=np.eye(3) if rotation is None else rotation,
        )

    def box(
        self,
        center: ArrayLike,
        half: ArrayLike,
        material: Material | None = None,
        rotation: Float64 | None = None,
    ) -> Solid:
        """Make a box."""
        return self.solid(Shape.BOX, center, half, material=material, rotation=rotation)

    def pole(
        self,
        center: ArrayLike,
        radius: float,
        half_height: float,
        material: Material | None = None,
        rotation: Float64 | None = None,
    ) -> Solid:
        """Make a cylinder, upright unless turned."""
        half = [radius, half_height, radius]
        return self.solid(Shape.CYLINDER, center, half, material=material, rotation=rotation)

    def ball(self, center: ArrayLike, half: ArrayLike, material: Material | None = None) -> Solid:
        """Make an ellipsoid, turned anyhow."""
        return self.solid(
            Shape.ELLIPSOID, center, half, material=material, rotation=self.any_turn()
        )

    def any_turn(self) -> Float64:
        """Draw a rotation."""
        w, x, y, z = self.rng.standard_normal(4)
        return np.asarray(Rotation.from_quat([x, y, z, w]).as_matrix())

    def yaw(self) -> Float64:
        """Draw a turn about the vertical."""
        return turned(self.uniform(0, 360))

    def thing(self, foot: ArrayLike, size: float) -> list[Solid]:
        """Put some object on the ground: a box, a ball, a can, a small stack or a little table.

        Args:
            foot: (3,) where it stands; y is the ground.
            size: Its half size, about.
        """
        x, y, z = np.asarray(foot, np.float64)
        half = size * self.rng.uniform(0.5, 1.3, 3)
        turn = self.yaw()
        style = self.rng.choice(5, p=[0.35, 0.2, 0.2, 0.15, 0.1])
        if style == 0:
            if self.chance(0.3):
                turn = turned(self.uniform(0, 360), *self.rng.uniform(-25, 25, 2))
            return [self.box([x, y - half[1], z], half, rotation=turn)]
        if style == 1:
            return [self.ball([x, y - half.mean(), z], half)]
        if style == 2:
            return [self.pole([x, y - half[1], z], half[0] * 0.6, half[1])]
        if style == 3:
            upper = half * [0.7, 0.6, 0.7]
            return [
                self.box([x, y - half[1], z], half, rotation=turn),
                self.box([x, y - 2 * half[1] - upper[1], z], upper, rotation=self.yaw()),
            ]
        return self.table([x, y, z], half * [1.2, 1.2, 0.9], turn)

    def table(self, foot: ArrayLike, half: Float64, turn: Float64) -> list[Solid]:
        """A top on four legs; ``half`` is its half size, legs included."""
        x, y, z = np.asarray(foot, np.float64)
        wood = self.material(scale=max(0.3, float(half.max())))
        thick = 0.06 * half[1]
        result = [self.box([x, y - 2 * half[1] + thick, z], [half[0], thick, half[2]], wood, turn)]
        for sx in (-0.85, 0.85):
            for sz in (-0.85, 0.85):
                leg = turn.T @ [sx * half[0], 0, sz * half[2]]
                result.append(
                    self.pole([x + leg[0], y - half[1], z + leg[2]], thick, half[1], wood)
                )
        return result

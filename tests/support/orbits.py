"""Cameras around the origin."""

from __future__ import annotations

import numpy as np

from vggt_sfm.training.scenes.cameras import look_at


def wandering_orbit(count: int, step_deg: float, rng: np.random.Generator) -> np.ndarray:
    """Return (count, 3, 4) cam_from_world of cameras in steps that fixate no common point."""
    return np.stack(
        [
            look_at(
                np.array([4 * np.sin(a), rng.uniform(-0.6, 0.6), -4 * np.cos(a)]),
                rng.normal(0, 0.7, 3),
                rng.normal(0, 20),
            )
            for a in np.deg2rad(step_deg * np.arange(count))
        ]
    )

"""Shape, value and freezing checks for arrays that cross a border."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]


def check_shape(
    name: str, array: NDArray[Any], spec: str, dims: dict[str, int] | None = None
) -> dict[str, int]:
    """Check an array's shape against a spec such as ``"S N 2"``.

    Letters are bound on first use and must agree afterwards; numbers are literal.

    Args:
        name: What to call the array in the message.
        array: The array to check.
        spec: Space-separated axis names or literal sizes; ``""`` is a scalar.
        dims: Bindings made by earlier checks.

    Returns:
        The bindings, with the letters of this spec added.

    Raises:
        ValueError: If the rank or any axis does not fit.
    """
    bound = dict(dims or {})
    axes = spec.split()
    shape = np.shape(array)
    fits = len(axes) == len(shape)
    if fits:
        for axis, size in zip(axes, shape, strict=True):
            expected = int(axis) if axis.isdigit() else bound.setdefault(axis, size)
            fits = fits and expected == size
    if not fits:
        known = {k: v for k, v in (dims or {}).items() if k in axes}
        raise ValueError(
            f"{name}: expected shape ({', '.join(axes)}) with {known}, got {tuple(shape)}"
        )
    return bound


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError if any element is NaN or infinite."""
    bad = int(np.size(array) - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise ValueError(f"{name}: {bad} of {np.size(array)} values are not finite")


def check_rotations(name: str, matrices: Float64, tolerance: float = 1e-3) -> None:
    """Raise ValueError unless all (…, 3, 3) matrices are rotations up to a tolerance."""
    with np.errstate(over="ignore", invalid="ignore"):
        product = np.einsum("...ij,...kj->...ik", matrices, matrices)
        error = np.abs(product - np.eye(3)).max(axis=(-2, -1), initial=0.0)
        good = (error <= tolerance) & (np.linalg.det(matrices) > 0)
    bad = int(np.size(good) - np.count_nonzero(good))
    if bad:
        raise ValueError(f"{name}: {bad} of {np.size(good)} rotations are no rotations")


def freeze(instance: object) -> None:
    """Make every array field of a dataclass read-only."""
    for field in fields(instance):  # type: ignore[arg-type]
        value = getattr(instance, field.name)
        if isinstance(value, np.ndarray):
            value.flags.writeable = False

"""What a comparison must reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vggt_sfm.pipelines.comparison import THRESHOLDS_DEG, Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastArea:
    """An area under the recall curve that must be reached."""

    threshold_deg: int
    percent: float

    def __post_init__(self) -> None:
        if self.threshold_deg not in THRESHOLDS_DEG:
            known = ", ".join(map(str, THRESHOLDS_DEG))
            raise ValueError(f"THRESHOLD_DEG is {self.threshold_deg}; known: {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Limits of A against the truth, or against B where there is none."""

    min_auc: tuple[LeastArea, ...] = ()
    """Exit with code 7 if the exact pose AUC at 1, 3, 5, 10 or 30 degrees is below this percentage;
    may be given several times."""
    max_ate: float | None = None
    """Exit with code 7 if the RMSE of the camera centres is above this, units of the reference."""
    max_rotation_deg: float | None = None
    """Exit with code 7 if the rotation of any image is off by more than this."""


def missed(gates: Gates, found: Comparison) -> list[str]:
    """Say which gates a comparison misses, with their figures; a figure that is missing misses."""
    return list(_missed(gates, found))


def _missed(gates: Gates, found: Comparison) -> Iterator[str]:
    for least in gates.min_auc:
        t, wanted = least.threshold_deg, least.percent
        area = None if found.auc_exact is None else found.auc_exact[str(t)]
        if area is None or not area >= wanted:
            yield f"--min-auc {t} {wanted:g}: it is {_figure(area, '.2f')}"
    for option, limit, value in (
        ("--max-ate", gates.max_ate, found.ate_rmse),
        ("--max-rotation-deg", gates.max_rotation_deg, found.rotation_worst_deg),
    ):
        if limit is not None and (value is None or not value <= limit):
            yield f"{option} {limit:g}: it is {_figure(value, '.6g')}"


def _figure(value: float | None, form: str) -> str:
    return "not known" if value is None else f"{value:{form}}"

"""What registering photographs returns and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vggt_sfm.ba.report import BundleReport
from vggt_sfm.localizing.localize import Outcome
from vggt_sfm.pipelines.register_config import RegisterConfig
from vggt_sfm.pipelines.written import WrittenModel
from vggt_sfm.scene import Frame, SkippedFile

if TYPE_CHECKING:
    import pycolmap

REPORT_FILE = "register.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredImage:
    """What became of one new photograph."""

    name: str
    path: str
    status: Literal["registered", "not registered"]
    reason: str | None
    """Why it was not registered."""
    matched: int
    """Its features that other photographs show, too."""
    points: int
    """Those whose place in the model is known."""
    inliers: int
    """Those that lie where its pose says."""
    observations: int
    """What it sees of the extended model's points, new ones included."""
    sigma_deg: float | None
    """Standard deviation of its pose by the noise of the inliers: of the rotation, or of the
    position as the angle that it makes at the points, whichever is larger."""
    image_id: int | None
    camera_id: int | None
    camera_is_old: bool
    """Whether it shares a camera of the model, which is held."""
    focal_px: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterReport:
    """What registering did: the content of ``register.json``."""

    schema: int = 1
    ok: bool
    """Whether at least one photograph was registered."""
    line: str
    """The outcome in one line, for people."""
    model: str
    """What was extended."""
    sparse: str | None
    """Folder of the extended model, relative to the output; None where nothing was registered."""
    photographs: int
    """Of the model, that were found."""
    upright: bool
    """Whether photographs were turned upright first, as those of the model were."""
    unit: str
    images: tuple[RegisteredImage, ...]
    skipped: tuple[SkippedFile, ...]
    """Files that could not be used, or are in the model already."""
    new_points: int
    bundle: BundleReport | None
    """The adjustment of the extended model; None where none was asked for."""
    versions: dict[str, str]
    config: RegisterConfig

    @property
    def registered(self) -> tuple[str, ...]:
        """Names of the photographs that were registered."""
        return tuple(image.name for image in self.images if image.status == "registered")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterResult(WrittenModel):
    """Where an extended model lies, and what became of each photograph."""

    report: RegisterReport

    @property
    def report_file(self) -> Path:
        """``register.json``."""
        return self.output / REPORT_FILE


def registered_images(
    new: Sequence[Frame],
    outcomes: Sequence[Outcome],
    old: pycolmap.Reconstruction,
    extended: pycolmap.Reconstruction,
) -> tuple[RegisteredImage, ...]:
    """Describe the new photographs, in their order."""
    ids = {image.name: image.image_id for image in extended.images.values()}
    described = []
    for frame, outcome in zip(new, outcomes, strict=True):
        pose = outcome.pose
        image = None if pose is None else extended.image(ids[frame.name])
        described.append(
            RegisteredImage(
                name=frame.name,
                path=frame.path,
                status="not registered" if image is None else "registered",
                reason=outcome.reason or None,
                matched=outcome.matched,
                points=outcome.points,
                inliers=0 if pose is None else int(pose.inlier.sum()),
                observations=0 if image is None else image.num_points3D,
                sigma_deg=None if pose is None else pose.sigma_deg,
                image_id=None if image is None else image.image_id,
                camera_id=None if image is None else image.camera_id,
                camera_is_old=image is not None and old.exists_camera(image.camera_id),
                focal_px=None if image is None else _focal_px(extended, image),
            )
        )
    return tuple(described)


def _focal_px(model: pycolmap.Reconstruction, image: pycolmap.Image) -> float:
    return float(model.camera(image.camera_id).mean_focal_length())

"""Known cameras as their source gives them: poses, or positions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vggt_sfm._log import get_logger
from vggt_sfm.ba.knowledge import plain_pose
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.io.models import read_model
from vggt_sfm.io.named_files import same_photos
from vggt_sfm.io.positions import LocalPosition, Position, read_positions
from vggt_sfm.placing.report import Source
from vggt_sfm.priors.config import GPS, PriorConfig
from vggt_sfm.scene import Frame, GpsPosition

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPoses:
    """What a source says of the photographs' cameras, by their names."""

    cam_from_world: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """(3, 4) poses."""
    local: dict[str, LocalPosition] = field(default_factory=dict)
    geographic: dict[str, GpsPosition] = field(default_factory=dict)
    source: Source = "none"

    @property
    def positions(self) -> Mapping[str, Position]:
        """Positions of one kind, none where there are poses."""
        return self.local or self.geographic


def given_poses(config: PriorConfig, frames: Sequence[Frame]) -> GivenPoses:
    """Read what ``config.poses`` names.

    Raises:
        InputError: If it cannot be read, is of other photographs, or says nothing of heights.
    """
    if config.poses is None:
        return GivenPoses()
    try:
        return _read(config.poses, frames)
    except InputError as error:
        raise InputError(f"--pose-prior {error}") from error


def _read(said: str, frames: Sequence[Frame]) -> GivenPoses:
    path = Path(said)
    if said == GPS and not path.exists():
        placed = {f.name: f.gps for f in frames if f.gps is not None}
        high = {name: gps for name, gps in placed.items() if gps.altitude_m is not None}
        if len(high) < len(placed):
            _logger.warning(
                "--pose-prior gps: %d of %d photographs have no altitude and no say",
                len(placed) - len(high),
                len(placed),
            )
        return _positions(high, GPS, said)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; gps uses what the photos' EXIF says")
    names = [frame.name for frame in frames]
    if path.is_dir() or path.suffix.lower() == ".json":
        poses = poses_by_name(read_model(path))
        same = _same(names, list(poses), path)
        return GivenPoses(
            cam_from_world={name: plain_pose(poses[other]) for name, other in same.items()}
        )
    positions = read_positions(path)
    same = _same(names, list(positions), path)
    return _positions({name: positions[other] for name, other in same.items()}, "positions", said)


def _same(names: Sequence[str], others: Sequence[str], path: Path) -> dict[str, str]:
    same = same_photos(names, others)
    if not same:
        raise InputError(
            f"{path}: none of its {len(others)} names of cameras is one of a photograph: it has "
            f"{', '.join(others[:3]) or 'none'}, and the first photograph is {names[0]}"
        )
    return same


def _positions(positions: Mapping[str, Position], source: Source, said: str) -> GivenPoses:
    local = {n: p for n, p in positions.items() if isinstance(p, LocalPosition)}
    geographic = {n: p for n, p in positions.items() if isinstance(p, GpsPosition)}
    flat = [n for n, p in local.items() if p.z_m is None]
    flat += [n for n, p in geographic.items() if p.altitude_m is None]
    if flat:
        raise InputError(
            f"{said}: {flat[0]} has a position without height, which holds no camera; "
            "--positions places a finished model by such positions"
        )
    if len(positions) < 3:
        raise InputError(f"{said}: {len(positions)} photographs have a position; 3 are needed")
    return GivenPoses(local=local, geographic=geographic, source=source)

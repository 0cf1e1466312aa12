"""Options of a run, one section a stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.export.words import ExportConfig, ExportWord
from vggt_sfm.models.choice import PredictConfig
from vggt_sfm.placing.config import PlaceConfig
from vggt_sfm.priors.config import PriorConfig
from vggt_sfm.tracking.config import TrackConfig

StageName = Literal["ingest", "predict", "track", "adjust", "export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """How photographs are brought to the network's size."""

    preprocess: Literal["auto", "crop", "pad", "fit"] = "auto"
    """How photos are fitted to the network: cut to a limit, padded to a square, or neither.
    auto does what the model was trained with."""
    masks: Path | None = None
    """Folder of masks: tracks keep off black pixels. The mask of a/b.jpg is a/b.jpg.png in it, as
    in COLMAP, or else a/b.png. Photos without a mask are used whole."""
    alpha_masks: bool = True
    """Let tracks keep off the transparent pixels of photos that have some and no mask of their own:
    those with an alpha below 128 of 255."""
    cameras: Literal["auto", "one", "folder", "exif", "image"] = "auto"
    """Which photos share intrinsics: all of one size, those of a folder, those with the same size
    and EXIF camera, or none. auto: those of a folder with the same size and EXIF camera; photos of
    several sizes that do not name their camera share none."""
    rig: Path | None = None
    """COLMAP's rig_config.json: photos whose names begin with the image_prefix of one of its
    cameras share that camera's intrinsics. Those with the same name after it were taken at once:
    cameras stay together, at cam_from_rig where it is given, whose unit, metres, gives the
    scale."""
    every: int | None = None
    """Take exactly every Nth frame of a video, from the first, instead of choosing by sharpness and
    parallax; and every Nth photo, in order of names."""
    max_frames: int = 200
    """Most frames to take from each video; if more are chosen, they are thinned evenly along the
    camera's movement. At least 2."""

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise ValueError(f"every must be at least 1, is {self.every}")
        if self.max_frames < 2:
            raise ValueError(f"max_frames must be at least 2, is {self.max_frames}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructConfig:
    """All options of a reconstruction; the command line is made from them."""

    ingest: IngestConfig = field(default_factory=IngestConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    seed: SeedConfig = field(default_factory=SeedConfig)
    adjust: BundleConfig = field(default_factory=BundleConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    place: PlaceConfig = field(default_factory=PlaceConfig)
    from_npz: Path | None = None
    """Take cameras and depth from this npz file, which another network made, instead of running
    one; only photos that it names are used."""
    ba: bool = True
    """Refine the prediction by bundle adjustment."""
    rescue: bool = True
    """Where the adjustment ends in a wrong place, try other starts and other tracks, and keep what
    the tracks say is best."""
    save_database: bool = False
    """Write COLMAP's database.db beside the model: the tracks as keypoints and verified matches."""
    export: tuple[ExportWord, ...] = ()
    """Also write the result for another program; may be given several times."""
    exports: ExportConfig = field(default_factory=ExportConfig)
    report: bool = True
    """Write report.html and, with the same content, report.json: a verdict and its rules, figures,
    pictures."""
    force: StageName | None = None
    """Make the result of this stage again, and of all after it."""
    until: StageName | None = None
    """Stop after this stage."""
    strict: bool = False
    """Fail where the adjustment is rejected or an image is left out."""

    def __post_init__(self) -> None:
        if self.from_npz is None:
            return
        of_network = {
            "weights": self.predict.weights is not None,
            "model": self.predict.model is not None,
            "point_source": self.predict.point_source != "depth",
            "preprocess": self.ingest.preprocess != "auto",
        }
        odd = [name for name, is_given in of_network.items() if is_given]
        if odd:
            raise ValueError(f"from_npz takes the place of a network: leave out {', '.join(odd)}")

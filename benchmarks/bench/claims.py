"""What the paper claims and what others have reproduced, with where that stands.

Read in November 2026. Figures of other protocols are not in one column with these: a reproduction
names its own in the note.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

VGGT = "VGGT-1B"
Kind = Literal["claimed", "reproduced"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Claim(NamedTuple):
    """A published figure."""

    dataset: str
    method: str
    mode: str
    """As the modes of ours: "ff", "ba", "matching"; or "other"."""
    kind: Kind
    values: str
    """At the thresholds of the data set's rules that were published."""
    source: str


_PAPER = "Wang et al., VGGT, CVPR 2025"
_TABLE_1, _TABLE_10 = f"{_PAPER}, table 1", f"{_PAPER}, table 10"
_CO3D_README = "facebookresearch/vggt, evaluation branch, README"
_OMEGA = "facebookresearch/vggt-omega, reproduction file (its rules may differ)"


def _at_30(method: str, re10k: str, co3d: str) -> list[Claim]:
    return [
        Claim("re10k", method, "other", "claimed", f"@30 {re10k}", _TABLE_1),
        Claim("co3d", method, "other", "claimed", f"@30 {co3d}", _TABLE_1),
    ]


CLAIMS: tuple[Claim, ...] = (
    Claim("re10k", VGGT, "ff", "claimed", "@30 85.3", _TABLE_1),
    Claim("re10k", VGGT, "ba", "claimed", "@30 93.5", _TABLE_1),
    Claim("re10k", VGGT, "ff", "reproduced", "@30 about 74", "vggt issues 45 and 207"),
    Claim("re10k", VGGT, "ff", "reproduced", "@30 77.62", "Pi3 paper and issue 26, 1719 videos"),
    *_at_30("COLMAP (SuperPoint, SuperGlue)", "45.2", "25.3"),
    *_at_30("PixSfM", "49.4", "30.1"),
    *_at_30("PoseDiffusion", "48.0", "66.5"),
    *_at_30("DUSt3R", "67.7", "76.7"),
    *_at_30("MASt3R", "76.4", "81.8"),
    *_at_30("VGGSfM v2", "78.9", "83.4"),
    Claim("co3d", VGGT, "ff", "claimed", "@30 88.2", _TABLE_1),
    Claim("co3d", VGGT, "ba", "claimed", "@30 91.8", _TABLE_1),
    Claim("co3d", VGGT, "ff", "reproduced", "@30 89.5", _CO3D_README),
    Claim("co3d", VGGT, "ba", "reproduced", "@30 90.5 to 92.5", _CO3D_README),
    Claim(
        "co3d",
        VGGT,
        "ff",
        "reproduced",
        "@3 56.65, @5 67.45, @15 83.89, @30 89.98",
        f"{_CO3D_README}, 10 sequences a category",
    ),
    Claim(
        "co3d",
        VGGT,
        "ba",
        "reproduced",
        "@3 61.32, @5 70.69, @15 85.08, @30 90.52",
        f"{_CO3D_README}, 10 sequences a category",
    ),
    Claim("imc", VGGT, "ff", "claimed", "@3 39.23, @5 52.74, @10 71.26", _TABLE_10),
    Claim("imc", VGGT, "ba", "claimed", "@3 66.37, @5 75.16, @10 84.91", _TABLE_10),
    Claim(
        "imc",
        "COLMAP (SIFT, nearest neighbours)",
        "other",
        "claimed",
        "@3 23.58, @5 32.66, @10 44.79",
        _TABLE_10,
    ),
    Claim(
        "imc",
        "PixSfM (SuperPoint, SuperGlue)",
        "other",
        "claimed",
        "@3 45.19, @5 57.22, @10 70.47",
        _TABLE_10,
    ),
    Claim("imc", "MASt3R", "other", "claimed", "@3 30.25, @5 46.79, @10 57.42", _TABLE_10),
    Claim("imc", "VGGSfM v2", "other", "claimed", "@3 59.32, @5 67.78, @10 76.82", _TABLE_10),
    Claim(
        "imc",
        "VGGSfM v1.1",
        "other",
        "reproduced",
        "@3 64.74, @5 72.21, @10 80.98",
        "facebookresearch/vggsfm README: all pairs of all bags pooled",
    ),
    Claim("scannet1500", VGGT, "matching", "claimed", "@5 33.9, @10 55.2, @20 73.4", _PAPER),
    Claim("scannet1500", "RoMa", "other", "claimed", "@5 31.8, @10 53.4, @20 70.9", _PAPER),
    Claim("scannet1500", "LoFTR", "other", "claimed", "@5 22.1, @10 40.8, @20 57.6", _PAPER),
    Claim("scannet1500", "SuperGlue", "other", "claimed", "@5 16.2, @10 33.8, @20 51.8", _PAPER),
    Claim("7scenes", VGGT, "ff", "reproduced", "@3 10.9, @30 74.4", _OMEGA),
    Claim("7scenes", "Pi3", "other", "reproduced", "@3 13.3, @30 77.0", _OMEGA),
    Claim("7scenes", "Depth Anything 3", "other", "reproduced", "@3 18.7, @30 78.2", _OMEGA),
)


def claims_of(dataset: str) -> list[Claim]:
    """Return what is published of a data set."""
    return [claim for claim in CLAIMS if claim.dataset == dataset]

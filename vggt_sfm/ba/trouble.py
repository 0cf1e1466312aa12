"""Signs that an adjustment ended in a wrong place.

On 48 rendered scenes they tell 11 of the 13 whose AUC@5 is below 50, and 2 of the 25 above 80.
"""

from __future__ import annotations

from dataclasses import dataclass

from vggt_sfm.ba.report import BundleReport
from vggt_sfm.ba.statuses import GOOD_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with an adjustment."""

    words: str
    """For people; empty where nothing is."""
    images: tuple[str, ...] = ()
    """Images that are misplaced, or that nothing placed."""
    unconnected: tuple[str, ...] = ()
    """Of these, those without tracks to the others: other starts do not help them."""


def trouble(report: BundleReport) -> Trouble:
    """Look for images in wrong places, by what the tracks say of the result."""
    unconnected = [i.name for i in report.images if i.status == "predicted only"]
    if report.status == "rejected" and report.inlier_ratio_before >= GOOD_SHARE:
        return Trouble(words="")  # the prediction fits, and no adjustment is better
    everyone = [image.name for image in report.images]
    if report.status != "refined":
        words = f"the adjustment was {report.status}: {report.reason}"
        return _told(words, everyone, unconnected)
    if report.inlier_ratio_after < GOOD_SHARE:
        words = f"only {report.inlier_ratio_after:.0%} of the observations fit"
        return _told(words, everyone, unconnected)
    weak = [
        image.name
        for image in report.images
        # without observations: placed by its rig, which nothing contradicts
        if image.status == "rejected" or (image.status == "registered" and image.observations)
    ]
    if weak:
        words = f"few observations of {_few(weak)} fit"
        return _told(words, [*weak, *unconnected], unconnected)
    if report.doubtful_pairs:
        pair = report.doubtful_pairs[0]
        return _told(
            f"{len(report.doubtful_pairs)} pairs of images contradict the model, such as "
            f"{pair.first} and {pair.second}",
            [*_in_doubt(report), *unconnected],
            unconnected,
        )
    if unconnected:
        return _told(f"nothing ties {_few(unconnected)} to the others", unconnected, unconnected)
    return Trouble(words="")


def _in_doubt(report: BundleReport) -> list[str]:
    """Return the image of each doubtful pair that is in more of them, or fits worse."""
    names = [name for pair in report.doubtful_pairs for name in (pair.first, pair.second)]
    score = {image.name: image.outlier_score for image in report.images}
    worst = {
        max((pair.first, pair.second), key=lambda name: (names.count(name), score[name]))
        for pair in report.doubtful_pairs
    }
    return sorted(worst)


def _told(words: str, images: list[str], unconnected: list[str]) -> Trouble:
    return Trouble(words=words, images=tuple(images), unconnected=tuple(unconnected))


def _few(names: list[str]) -> str:
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")

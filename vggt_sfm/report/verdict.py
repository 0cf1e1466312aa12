"""Whether a result can be used, in words, and by which rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from vggt_sfm._checks import Int64
from vggt_sfm.report.facts import Finding, ImageFacts, Level, ModelFacts, RunFacts, Verdict

# Two photographs are linked if they share this many points, a weak link being worth less.
LINK_POINTS = 30
# Median errors above this, px at an image 1000 px long, mean that cameras or matches are off.
_LARGE_ERROR_PX = 1.5
# The next five are where good and bad cameras part on 48 rendered scenes whose truth is known; 24
# others tell what they are worth: python -m vggt_sfm.benchmarks.verdicts.
_LARGE_ROTATION_SIGMA_DEG = 0.07
_LARGE_HELD_OUT_PX = 1.1
_FEW_INLIERS = 0.80
_SOME_INLIERS = 0.86
_LEAST_INLIERS = 0.6  # of a prediction that was not adjusted
_SMALL_ANGLE_DEG = 2.0
# On those 48 scenes no adjusted one has more than 0.06 px; a fisheye lens of 121 degrees that was
# taken for a SIMPLE_RADIAL has 0.21.
_LARGE_RADIAL_BIAS_PX = 0.1
_FEW_OBSERVATIONS = 50
_LEAST_HELD = 0.5
_ERROR_AT_PX = 1000


def judge(
    run: RunFacts,
    images: Sequence[ImageFacts],
    shared: Int64,
    after: ModelFacts | None,
    long_side_px: float,
) -> Verdict:
    """Judge a result.

    Args:
        run: How the run ended.
        images: The photographs in natural order.
        shared: (S, S) points that pairs of them share.
        after: The model, or None if there is none.
        long_side_px: Of the photographs, the usual one.
    """
    fatal = _fatal(run, images, after)
    if fatal:
        return Verdict(level="bad", words=f"Unusable: {fatal.words}.", findings=(fatal,))
    findings = [
        *_unadjusted(run),
        *_agreement(run, long_side_px),
        *_look_alikes(run),
        *_weak_links(images, shared),
        *_images_left(images),
        *_accuracy(images, after, long_side_px),
        *_unexplained_lens(run, after, long_side_px),
        *_files(run),
    ]
    bad = [finding for finding in findings if finding.level == "bad"]
    if bad:
        words = f"Unusable: {bad[0].words}."
    elif findings:
        words = f"Usable with care: {'; '.join(f.words for f in findings[:3])}."
    else:
        words = f"Ready for splatting: {_praise(images, after)}."
    level: Level = "bad" if bad else "care" if findings else "good"
    return Verdict(level=level, words=words, findings=tuple(findings))


def _fatal(run: RunFacts, images: Sequence[ImageFacts], after: ModelFacts | None) -> Finding | None:
    if not run.ok or after is None:
        return Finding(level="bad", words=run.line, rule="the run wrote no model, or failed")
    if len(images) == 1:
        words = "one photograph has depth but no second view to check it"
        return Finding(level="bad", words=words, rule="a reconstruction needs two photographs")
    held = sum(image.observations > 0 for image in images)
    if held < _LEAST_HELD * len(images):
        return Finding(
            level="bad",
            words=f"only {held} of {len(images)} photographs are held by common points",
            rule=f"less than {_LEAST_HELD:.0%} of the photographs are held by points",
        )
    return None


def _unadjusted(run: RunFacts) -> Iterator[Finding]:
    if run.status == "adjusted":
        return
    ratio = run.bundle.inlier_ratio_before if run.bundle else None
    if ratio is not None and 0 < ratio < _LEAST_INLIERS:
        yield Finding(
            level="bad",
            words=f"prediction and matches contradict each other, only {ratio:.0%} of the "
            "observations fit",
            rule=f"not adjusted, and less than {_LEAST_INLIERS:.0%} of the observations fit",
        )
    yield Finding(
        level="care",
        words=f"the cameras are a prediction, not adjusted ({run.reason})",
        rule="the adjustment is off, was skipped or was rejected",
    )


def _agreement(run: RunFacts, long_side_px: float) -> Iterator[Finding]:
    """Look at how much of what was seen the adjusted cameras explain."""
    bundle = run.bundle
    if run.status != "adjusted" or bundle is None:
        return
    ratio = bundle.inlier_ratio_after
    if ratio < _SOME_INLIERS:
        bad = ratio < _FEW_INLIERS
        yield Finding(
            level="bad" if bad else "care",
            words=f"only {ratio:.0%} of the observations fit the adjusted cameras",
            rule=f"care below {_SOME_INLIERS:.0%}, not to be used below {_FEW_INLIERS:.0%}",
        )
    limit = _LARGE_HELD_OUT_PX * long_side_px / _ERROR_AT_PX
    error = bundle.held_out_after_px
    if error is not None and error > limit:
        yield Finding(
            level="care",
            words=f"tracks that took no part in the adjustment miss by {error:.2f} px",
            rule=f"their median error is above {limit:.2f} px, that is {_LARGE_HELD_OUT_PX} px at "
            f"{_ERROR_AT_PX} px of image length",
        )


def _look_alikes(run: RunFacts) -> Iterator[Finding]:
    pairs = run.bundle.doubtful_pairs if run.bundle and run.status == "adjusted" else ()
    if pairs:
        subject = "a pair" if len(pairs) == 1 else f"{len(pairs)} pairs"
        looks = "looks" if len(pairs) == 1 else "look"
        yield Finding(
            level="care",
            words=f"{subject} of photographs {looks} alike where the cameras say otherwise "
            f"({pairs[0].first}, {pairs[0].second})",
            rule="less than a third of 15 or more verified matches fit the adjusted cameras: "
            "either different things look alike, or a photograph is misplaced",
        )


def _weak_links(images: Sequence[ImageFacts], shared: Int64) -> Iterator[Finding]:
    """Find photographs that strong links do not tie to the largest group."""
    held = np.array([image.observations > 0 for image in images])
    strong = (shared >= LINK_POINTS) & held[:, None] & held
    _, group = connected_components(sparse.csr_matrix(strong), directed=False)
    sizes = np.bincount(group[held], minlength=group.max() + 1) if held.any() else np.zeros(1)
    outside = np.flatnonzero(held & (group != int(sizes.argmax())))
    if len(outside):
        yield Finding(
            level="care",
            words=f"{_named(images, outside.tolist())} weakly linked with the others",
            rule=f"no chain of photographs that share {LINK_POINTS} points leads to the largest "
            "group",
        )


def _images_left(images: Sequence[ImageFacts]) -> Iterator[Finding]:
    for status, words in (
        ("rejected", "contradict the others and kept their predicted camera"),
        ("predicted only", "held by no point"),
        ("registered", "placed on little evidence"),
    ):
        rows = [s for s, image in enumerate(images) if image.status == status]
        if rows and (status != "registered" or len(rows) < len(images)):
            yield Finding(
                level="care",
                words=f"{_named(images, rows)} {words}",
                rule=f"the adjustment left them as {status}",
            )


def _accuracy(
    images: Sequence[ImageFacts], after: ModelFacts | None, long_side_px: float
) -> Iterator[Finding]:
    limit = _LARGE_ERROR_PX * long_side_px / _ERROR_AT_PX
    error = after.median_error_px if after else None
    if error is not None and error > limit:
        yield Finding(
            level="care",
            words=f"points miss their pixels by {error:.1f} px",
            rule=f"median reprojection error above {limit:.1f} px, that is {_LARGE_ERROR_PX} px "
            f"at {_ERROR_AT_PX} px of image length",
        )
    angle = after.median_angle_deg if after else None
    if angle is not None and angle < _SMALL_ANGLE_DEG:
        yield Finding(
            level="care",
            words=f"the camera hardly moved, rays meet at {angle:.1f} degrees",
            rule=f"median of the points' largest angle below {_SMALL_ANGLE_DEG} degrees",
        )
    unsure = [
        s
        for s, image in enumerate(images)
        if (image.rotation_sigma_deg or 0) > _LARGE_ROTATION_SIGMA_DEG
    ]
    if unsure:
        yield Finding(
            level="care",
            words=f"{_named(images, unsure)} uncertain",
            rule=f"rotation known to no better than {_LARGE_ROTATION_SIGMA_DEG} degrees (one "
            "sigma)",
        )
    few = [s for s, image in enumerate(images) if 0 < image.observations < _FEW_OBSERVATIONS]
    if few:
        yield Finding(
            level="care",
            words=f"{_named(images, few)} held by few points",
            rule=f"fewer than {_FEW_OBSERVATIONS} observations",
        )


def _unexplained_lens(
    run: RunFacts, after: ModelFacts | None, long_side_px: float
) -> Iterator[Finding]:
    bias = after.radial_bias_px if after and run.status == "adjusted" else None
    limit = _LARGE_RADIAL_BIAS_PX * long_side_px / _ERROR_AT_PX
    if bias is not None and bias > limit:
        yield Finding(
            level="care",
            words=f"the lens bends pictures by {bias:.2f} px in a way the camera model does not; "
            "try --camera-model OPENCV or OPENCV_FISHEYE",
            rule=f"in a ring around the middle, errors point outwards or inwards by more than "
            f"{limit:.2f} px at the median, {_LARGE_RADIAL_BIAS_PX} px at {_ERROR_AT_PX} px of "
            "image length",
        )


def _files(run: RunFacts) -> Iterator[Finding]:
    unusable = [entry.name for entry in run.skipped if not entry.twin]
    if unusable:
        names = ", ".join(unusable[:3]) + (", …" if len(unusable) > 3 else "")
        files = "file" if len(unusable) == 1 else "files"
        yield Finding(
            level="care",
            words=f"{len(unusable)} {files} could not be used ({names})",
            rule="files that cannot be read to their end are left out",
        )


def _praise(images: Sequence[ImageFacts], after: ModelFacts | None) -> str:
    error = after.median_error_px if after else None
    missing = f", median error {error:.2f} px" if error is not None else ""
    return f"all {len(images)} photographs adjusted and firmly linked{missing}"


def _named(images: Sequence[ImageFacts], rows: Sequence[int]) -> str:
    """Name photographs by number and name; neighbours are drawn together."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][-1] + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    spans = [f"{r[0] + 1}–{r[-1] + 1}" if len(r) > 1 else f"{r[0] + 1}" for r in runs]
    shown = ", ".join(spans[:6]) + (", …" if len(spans) > 6 else "")
    word = "photographs" if len(rows) > 1 else "photograph"
    first, last = images[rows[0]].name, images[rows[-1]].name
    names = f"{first} to {last}" if len(runs) == 1 and len(rows) > 1 else first
    more = ", …" if len(runs) > 1 else ""
    return f"{word} {shown} ({names}{more})"

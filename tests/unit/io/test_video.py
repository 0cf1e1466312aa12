"""Videos: which frames are taken, and what their files hold."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import videos
from PIL import Image

from vggt_sfm._log import SilentProgress
from vggt_sfm.errors import CapabilityError, InputError
from vggt_sfm.io import video as module
from vggt_sfm.io.images import file_sha256, read_upright
from vggt_sfm.io.keyframes import Keyframe, thinned
from vggt_sfm.io.video import FRAMES_FILE, FrameSettings, frames_of
from vggt_sfm.io.video_reader import VideoReader

JPEG_LEVELS = 6.0
"""Mean difference that two lossy codecs may make; a wrong frame or turn makes about 50."""


def _take(path: Path, **settings: int) -> dict[str, Any]:
    """Take the frames of a video; return what their file says."""
    folder = path.with_suffix("")
    found = frames_of(path, folder, FrameSettings(**settings), SilentProgress())
    told: dict[str, Any] = json.loads((folder / FRAMES_FILE).read_text())
    assert found == [folder / frame["name"] for frame in told["frames"]]
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [FRAMES_FILE, *(frame["name"] for frame in told["frames"])]
    )
    return told


def _numbers(told: dict[str, Any]) -> list[int]:
    return [frame["number"] for frame in told["frames"]]


def _video(path: Path, frames: Sequence[videos.UInt8], **options: Any) -> Path:
    return videos.write(path, frames, **options)


# --- which frames


def test_keyframes_are_a_step_apart_however_fast_the_camera_moves(tmp_path: Path) -> None:
    slow = _take(_video(tmp_path / "slow.mp4", videos.pan(80, 4)))
    fast = _take(_video(tmp_path / "fast.mp4", videos.pan(40, 8)))
    assert abs(len(slow["frames"]) - len(fast["frames"])) <= 1
    assert len(slow["frames"]) == pytest.approx(80 * 4 / 320 / 0.08, abs=2)
    for told in (slow, fast):
        moved = [frame["displacement"] for frame in told["frames"]]
        assert moved[0] == 0
        assert all(0.05 <= step <= 0.13 for step in moved[1:-1])
        assert _numbers(told)[0] == 0
    # The step that is told is the one that was made: of 320 px, 4 a frame.
    steps = np.diff(_numbers(slow)) * 4 / 320
    np.testing.assert_allclose([f["displacement"] for f in slow["frames"]][1:], steps, atol=2e-3)


def test_blurred_frames_are_avoided(tmp_path: Path) -> None:
    sharp = {n for n in range(75) if n % 4 == 1}
    blurred = set(range(75)) - sharp
    told = _take(_video(tmp_path / "v.mp4", videos.pan(75, 5, blurred=blurred)))
    assert len(told["frames"]) > 8
    assert set(_numbers(told)) <= sharp


def test_blur_that_hides_all_corners_is_waited_out(tmp_path: Path) -> None:
    frames = videos.pan(40, 2)
    for n in range(18, 22):
        frames[n] = videos.view(n * 2, blur_px=90)
    numbers = _numbers(_take(_video(tmp_path / "v.mp4", frames)))
    assert not {18, 19, 20, 21} & set(numbers)
    assert len(numbers) == pytest.approx(40 * 2 / 320 / 0.08 + 1, abs=1)


def test_camera_that_stands_still_gives_two_frames(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    still = videos.view(100).astype(int)
    noisy = [np.clip(still + rng.normal(0, 6, still.shape), 0, 255) for _ in range(60)]
    told = _take(_video(tmp_path / "v.mp4", [frame.astype(np.uint8) for frame in noisy]))
    assert len(told["frames"]) == 2
    assert _numbers(_take(_video(tmp_path / "two.mp4", [videos.view(100)] * 2))) == [0, 1]
    assert _numbers(_take(_video(tmp_path / "one.mp4", [videos.view(100)]))) == [0]


def test_cut_has_a_keyframe_on_both_sides(tmp_path: Path) -> None:
    frames = videos.pan(20, 2) + videos.pan(20, 2, seed=1)
    told = _take(_video(tmp_path / "v.mp4", frames))
    numbers = _numbers(told)
    assert max(n for n in numbers if n < 20) >= 17
    after = next(frame for frame in told["frames"] if frame["number"] >= 20)
    assert after["number"] <= 22
    assert after["displacement"] is None
    assert told["frames"][-1]["number"] >= 37


def test_empty_frames_are_left_out(tmp_path: Path) -> None:
    black = [np.zeros((180, 320, 3), np.uint8)] * 5
    numbers = _numbers(_take(_video(tmp_path / "v.mp4", black + videos.pan(20, 5) + black)))
    assert numbers[0] == 5
    assert max(numbers) < 25
    assert len(_take(_video(tmp_path / "black.mp4", black))["frames"]) == 2


def test_too_many_are_thinned_along_the_way_and_keep_both_ends(tmp_path: Path) -> None:
    path = _video(tmp_path / "v.mp4", videos.pan(60, 5))
    everything = _take(path)
    told = _take(path, max_frames=4)
    assert _numbers(told)[0] == _numbers(everything)[0]
    assert _numbers(told)[-1] == _numbers(everything)[-1]
    assert len(told["frames"]) == 4
    moved = [frame["displacement"] for frame in told["frames"]]
    assert sum(moved) == pytest.approx(sum(f["displacement"] for f in everything["frames"]))
    assert max(moved[1:]) < 1.5 * min(moved[1:])


def test_thinning_follows_the_movement_and_not_the_time() -> None:
    steps = [0.0, 0.01, 0.01, 0.01, 0.01, 0.5, None, 0.5, 0.0, 0.0, 0.0]
    frames = [
        Keyframe(number=n, time_s=n, sharpness=1, displacement=step) for n, step in enumerate(steps)
    ]
    kept = thinned(frames, 4)
    assert [frame.number for frame in kept] == [0, 5, 6, 10]
    assert [frame.displacement for frame in kept] == [0.0, pytest.approx(0.54), None, 0.5]
    assert [frame.number for frame in thinned(frames, 11)] == list(range(11))
    for most in range(2, 11):
        numbers = [frame.number for frame in thinned(frames, most)]
        assert (len(set(numbers)), numbers[0], numbers[-1]) == (most, 0, 10)


def test_every_nth_is_exact_and_says_how_many_there_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _video(tmp_path / "v.mp4", videos.pan(30, 3, blurred=range(0, 30, 7)))
    assert _numbers(_take(path, every=7)) == [0, 7, 14, 21, 28]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(_take(path, every=3, max_frames=5)["frames"]) == 5
    assert "--every 3 takes 10 frames; thinned to --max-frames 5" in caplog.text


# --- what is written


def test_frames_are_those_of_the_video_at_their_time(tmp_path: Path) -> None:
    ticks = [0, 1, 5, 6, 30, 31, 32, 60]
    frames = videos.pan(8, 9)
    path = _video(tmp_path / "v.mp4", frames, ticks=ticks)
    told = _take(path, every=1)
    assert [frame["time_s"] for frame in told["frames"]] == pytest.approx(
        [tick / videos.RATE for tick in ticks], abs=1e-6
    )
    for n, frame in enumerate(told["frames"]):
        assert frame["name"] == f"{n:06d}.jpg"
        seen = read_upright(tmp_path / "v" / frame["name"])
        assert np.abs(seen.astype(int) - frames[n]).mean() < JPEG_LEVELS
    with Image.open(tmp_path / "v" / "000003.jpg") as image:
        assert image.layer == [(1, 1, 1, 0), (2, 1, 1, 1), (3, 1, 1, 1)]  # full colour
    assert (told["video"], told["sha256"]) == ("v.mp4", file_sha256(path))
    assert (told["decoded"], told["remarks"]) == (8, [])


@pytest.mark.parametrize("quarters", range(4))
def test_frames_are_written_upright(tmp_path: Path, quarters: int) -> None:
    frames = videos.pan(3, 9)
    path = videos.turn(_video(tmp_path / "v.mp4", frames), quarters)
    told = _take(path, every=1)
    seen = read_upright(tmp_path / "v" / told["frames"][1]["name"])
    upright = np.rot90(frames[1], -quarters)
    assert seen.shape == upright.shape
    assert np.abs(seen.astype(int) - upright).mean() < JPEG_LEVELS


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("v.mov", "prores_ks", "yuv422p10le"),
        ("v.mkv", "ffv1", "gray"),
        ("v.avi", "mjpeg", "yuvj420p"),
        ("v.webm", "libvpx-vp9", "yuva420p"),
        ("v.mts", "libx264", "yuv444p"),
        ("v.mpg", "mpeg2video", "yuv420p"),
    ],
)
def test_other_containers_and_pixels(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    frames = videos.pan(4, 9)
    told = _take(_video(tmp_path / name, frames, codec=codec, pixels=pixels), every=3)
    assert _numbers(told) == [0, 3]
    seen = read_upright(tmp_path / "v" / "000003.jpg").astype(int).mean(axis=2)
    grey = frames[3] @ [0.299, 0.587, 0.114] if pixels == "gray" else frames[3].mean(axis=2)
    assert np.abs(seen - grey).mean() < 2 * JPEG_LEVELS


def test_odd_sizes(tmp_path: Path) -> None:
    frames = [np.ascontiguousarray(frame[:111, :203]) for frame in videos.pan(3, 9)]
    _take(_video(tmp_path / "v.mp4", frames, pixels="yuv444p"), every=1)
    assert read_upright(tmp_path / "v" / "000002.jpg").shape == (111, 203, 3)


# --- damaged files


def test_cut_off_video_gives_what_decodes_and_says_how_far_it_got(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = _video(
        tmp_path / "whole.mp4", videos.pan(60, 5), container={"movflags": "faststart"}
    ).read_bytes()
    path = tmp_path / "v.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    told = _take(path)
    assert 20 < told["decoded"] < 40
    assert _numbers(told)[-1] >= told["decoded"] - 4
    expected = rf"v.mp4: damaged or cut off; {told['decoded']} of 60 frames can be used"
    assert expected in caplog.text
    assert "s of 2.0 s" in caplog.text
    caplog.clear()
    _take(path)
    assert expected in caplog.text  # as well when nothing is decoded any more


def test_files_without_a_picture_are_named(tmp_path: Path) -> None:
    sound = videos.write_sound(tmp_path / "sound.mp4")
    with pytest.raises(InputError, match=r"sound\.mp4: holds no video"):
        _take(sound)
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(InputError, match=r"text\.mp4: not a video that can be read"):
        _take(tmp_path / "text.mp4")
    whole = _video(tmp_path / "w.mkv", videos.pan(10, 5)).read_bytes()
    (tmp_path / "head.mkv").write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75") + 40])
    with pytest.raises(InputError, match=r"head\.mkv: no frame of this video can be decoded"):
        _take(tmp_path / "head.mkv")
    with pytest.raises(InputError, match=r"gone\.mp4: No such file"):
        _take(tmp_path / "gone.mp4")
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_without_pyav_the_install_line_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "v.mp4").write_bytes(b"")
    with pytest.raises(CapabilityError, match=r"pip install 'vggt-sfm\[video\]'"):
        _take(tmp_path / "v.mp4")


# --- kept frames


def _count_readers(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    opened: list[Path] = []

    class Counted(VideoReader):
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr(module, "VideoReader", Counted)
    return opened


def test_nothing_is_decoded_again_for_the_same_bytes_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _count_readers(monkeypatch)
    path = _video(tmp_path / "v.mp4", videos.pan(20, 5))
    first = _take(path)
    assert len(opened) == 2  # to choose and to write
    assert _take(path) == first
    assert len(opened) == 2
    _take(path, max_frames=3)
    assert len(opened) == 4
    (tmp_path / "v" / _take(path, max_frames=3)["frames"][1]["name"]).unlink()
    _take(path, max_frames=3)
    assert len(opened) == 6
    _video(path, videos.pan(20, 6))
    _take(path, max_frames=3)
    assert len(opened) == 8
    (tmp_path / "v" / FRAMES_FILE).write_text("{")
    _take(path, max_frames=3)
    assert len(opened) == 10


def test_run_that_is_stopped_leaves_no_folder_or_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _video(tmp_path / "v.mp4", videos.pan(30, 5))
    save = Image.Image.save

    def fail_at_third(image: Image.Image, where: Path, **options: Any) -> None:
        if len(list(where.parent.iterdir())) == 2:
            raise KeyboardInterrupt
        save(image, where, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", fail_at_third)
        with pytest.raises(KeyboardInterrupt):
            _take(path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["v.mp4"]
    first = _take(path)
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", fail_at_third)
        with pytest.raises(KeyboardInterrupt):
            _take(path, max_frames=4)
    assert _take(path) == first

"""What a run is made from: photographs, videos and both."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import photos
import pytest
import videos
from PIL import Image

from vggt_sfm._log import SilentProgress
from vggt_sfm.errors import CapabilityError, InputError, ReconstructionError
from vggt_sfm.io import video as video_module
from vggt_sfm.pipelines.config import IngestConfig, ReconstructConfig
from vggt_sfm.pipelines.gather import default_output, find_sources, gather, without_choice
from vggt_sfm.pipelines.reconstruct import reconstruct
from vggt_sfm.pipelines.stages import INGEST


def _photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (len(path.name), 0, 0)).save(path)
    return path


def _video(path: Path, count: int = 6) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return videos.write(path, videos.pan(count, 9))


def _names(sources: object, output: Path, config: IngestConfig | None = None) -> list[str]:
    found = find_sources(sources, [output])  # type: ignore[arg-type]
    files = gather(found, output, config or IngestConfig(), SilentProgress())
    return [file.name for file in files]


def test_one_video_gives_plain_names_in_the_output(tmp_path: Path) -> None:
    clip = _video(tmp_path / "clip.MP4")
    assert _names(str(clip), tmp_path / "out", IngestConfig(every=2)) == [
        "000000.jpg",
        "000002.jpg",
        "000004.jpg",
    ]
    assert (tmp_path / "out/frames/clip/000002.jpg").is_file()


def test_folder_of_videos_takes_them_all(tmp_path: Path) -> None:
    _video(tmp_path / "in/clip10.mp4")
    _video(tmp_path / "in/clip9.mov")
    names = _names(tmp_path / "in", tmp_path / "out", IngestConfig(every=5))
    assert names == [
        "clip9/000000.jpg",
        "clip9/000005.jpg",
        "clip10/000000.jpg",
        "clip10/000005.jpg",
    ]


def test_videos_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    clips = [_video(tmp_path / name, 2) for name in ("in/a/clip.mp4", "in/b/Clip.mp4")]
    assert _names(clips, tmp_path / "out") == [
        "a/clip.mp4/000000.jpg",
        "a/clip.mp4/000001.jpg",
        "b/Clip.mp4/000000.jpg",
        "b/Clip.mp4/000001.jpg",
    ]


def test_videos_beside_photos_are_passed_over_unless_they_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _photo(tmp_path / "in/img2.jpg")
    clip = _video(tmp_path / "in/img2.mov", 2)
    assert _names(tmp_path / "in", tmp_path / "out") == ["img2.jpg"]
    assert "in holds photos: its 1 videos are passed over" in caplog.text
    both = ["in/img2.jpg", "out/frames/img2/000000.jpg", "out/frames/img2/000001.jpg"]
    assert _names([tmp_path / "in", clip], tmp_path / "out") == both
    assert _names(str(tmp_path / "in" / "*"), tmp_path / "out") == both
    (tmp_path / "list.txt").write_text("in/img2.mov\nin/img2.jpg\n")
    assert _names(tmp_path / "list.txt", tmp_path / "out") == both


def test_every_nth_photo_in_natural_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for n in range(1, 12):
        _photo(tmp_path / f"in/{n}.png")
    config = IngestConfig(every=4)
    assert _names(tmp_path / "in", tmp_path / "out", config) == ["1.png", "5.png", "9.png"]
    assert "--every 4: 3 of 11 photos are taken" in caplog.text


def test_nothing_found_names_videos_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no images in .*, and for videos ending in avi m4v"):
        find_sources(tmp_path, [])


def test_missing_package_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = _video(tmp_path / "clip.mp4", 2)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(CapabilityError, match=r"pip install 'vggt-sfm\[video\]'"):
        reconstruct(clip, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_frames_that_cannot_be_written_are_an_error_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = _video(tmp_path / "clip.mp4", 2)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(ReconstructionError, match=r"frames/clip: No space left on device"):
        _names(clip, tmp_path / "out")


def test_output_is_beside_a_video_by_default(tmp_path: Path) -> None:
    assert default_output(tmp_path / "a" / "clip.MOV") == tmp_path / "a" / "vggt-sfm-out"


@pytest.mark.parametrize(("field", "value"), [("every", 0), ("max_frames", 1)])
def test_impossible_numbers_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must be at least"):
        IngestConfig(**{field: value})  # type: ignore[arg-type]


def test_what_only_chooses_files_is_no_part_of_the_key() -> None:
    assert without_choice(IngestConfig(every=3, max_frames=9, masks=Path("m"))) == IngestConfig()
    assert without_choice(IngestConfig(alpha_masks=False)) == IngestConfig(alpha_masks=False)


def test_video_of_the_room_becomes_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = videos.write(tmp_path / "room.mp4", [photos.render(view) for view in photos.views(25)])
    config = ReconstructConfig(ingest=IngestConfig(max_frames=5), report=False)
    result = reconstruct(clip, tmp_path / "out", config)
    model = result.reconstruction()
    names = sorted(image.name for image in model.images.values())
    assert names[0] == "000000.jpg"
    assert 4 <= len(names) <= 5
    assert len(model.cameras) == 1
    assert result.report.status == "adjusted"
    assert result.report.num_points > 100
    assert result.report.mean_reprojection_error_px < 1.5

    def never(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(video_module, "VideoReader", never)
    again = reconstruct(clip, tmp_path / "out", config)
    assert {stage.name for stage in again.report.stages if stage.cached} >= {"ingest", "predict"}


@pytest.mark.usefixtures("simulated_predictor")
def test_sub_folders_are_cameras_and_names_may_repeat(room: Path, tmp_path: Path) -> None:
    for n in range(1, 5):
        path = tmp_path / "in" / "ab"[n % 2] / f"{(n + 1) // 2}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((room / f"img{n}.jpg").read_bytes())

    def cameras(config: IngestConfig) -> dict[str, str]:
        result = reconstruct(
            tmp_path / "in", tmp_path / "out", ReconstructConfig(ingest=config, until="ingest")
        )
        return {frame.name: frame.camera_key for frame in result.of_stage(INGEST).frames}

    keys = cameras(IngestConfig())
    assert list(keys) == ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"]
    assert keys["a/1.jpg"] == keys["a/2.jpg"] != keys["b/1.jpg"] == keys["b/2.jpg"]
    assert len(set(cameras(IngestConfig(cameras="exif")).values())) == 1


@pytest.mark.usefixtures("simulated_predictor")
def test_tracks_keep_off_transparent_pixels(
    room: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "truth.json").write_bytes((room.parent / "truth.json").read_bytes())
    for n in range(1, 6):
        with Image.open(room / f"img{n}.jpg") as image:
            pixels = np.dstack([np.asarray(image), np.full((240, 320), 255, np.uint8)])
        pixels[:, :107, 3] = 127
        if n == 5:
            pixels[..., 3] = 0
        Image.fromarray(pixels).save(folder / f"img{n}.png")
    config = ReconstructConfig(ba=False, report=False)
    model = reconstruct(folder, tmp_path / "out", config).reconstruction()
    left = {
        image.name: min((point.xy[0] for point in image.points2D), default=320)
        for image in model.images.values()
    }
    assert min(left[f"img{n}.png"] for n in range(1, 5)) >= 107
    assert left.get("img5.png", 320) == 320
    assert "img5.png is transparent everywhere" in caplog.text
    off = replace(config, ingest=IngestConfig(alpha_masks=False))
    model = reconstruct(folder, tmp_path / "off", off).reconstruction()
    assert min(point.xy[0] for image in model.images.values() for point in image.points2D) < 107

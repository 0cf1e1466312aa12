"""What a user says of cameras and gets wrong is one line and an exit code."""

from __future__ import annotations

from pathlib import Path

import foreign
import pytest
import simulated
from click.testing import CliRunner

from vggt_sfm.cli.main import main
from vggt_sfm.errors import InputError


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--intrinsics", "100,80"),
            "error: --intrinsics 100,80: neither a file nor 3 numbers f,cx,cy, as SIMPLE_PINHOLE "
            "has; --camera-model names others",
        ),
        (
            ("--intrinsics", "100,80,60", "--camera-model", "PINHOLE"),
            "error: --intrinsics 100,80,60: neither a file nor 4 numbers fx,fy,cx,cy, as PINHOLE "
            "has; --camera-model names others",
        ),
        (
            ("--pose-prior", "nowhere"),
            "error: --pose-prior nowhere: no such file or folder; gps uses what the photos' EXIF "
            "says",
        ),
    ],
)
def test_wrong_words_on_cameras_are_one_line(
    words: tuple[str, ...], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated.install(monkeypatch.setattr)
    foreign.save_noise(tmp_path / "images" / "1.jpg", (160, 120))
    told = ("reconstruct", str(tmp_path / "images"), "-o", str(tmp_path / "out"), *words)
    result = CliRunner().invoke(main, told)
    assert result.exit_code == InputError.exit_code == 3
    assert result.stdout == ""
    assert [said for said in result.stderr.splitlines() if said.startswith("error")] == [line]
    assert result.stderr.splitlines()[-1] == line


def test_an_unknown_camera_model_and_a_negative_sigma_are_usage_errors(tmp_path: Path) -> None:
    for words in (("--camera-model", "FOV"), ("--prior.intrinsics-sigma", "-1")):
        result = CliRunner().invoke(main, ["reconstruct", str(tmp_path), *words])
        assert result.exit_code == 2, result.stderr

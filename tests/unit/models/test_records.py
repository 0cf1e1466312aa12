"""What is said of the known models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vggt_sfm._files import file_sha256
from vggt_sfm.errors import WeightsError
from vggt_sfm.models import VGGTConfig
from vggt_sfm.models.choice import EMBEDDED
from vggt_sfm.models.records import EMBEDDED_WEIGHTS, RECORDS, gigabytes, record


def test_the_known_models_are_these() -> None:
    assert list(RECORDS) == ["tiny", "vggt-1b", "vggt-1b-commercial", "vggt-tracker-fixed"]
    for name, known in RECORDS.items():
        assert record(name) is known
        assert known.name == name
        assert known.licence.url.startswith("https://")
        assert known.name == EMBEDDED or VGGTConfig.preset(known.preset)


def test_only_the_fixed_tracker_was_trained_with_position_embedding() -> None:
    with_it = [name for name, known in RECORDS.items() if known.track_position_embedding]
    assert with_it == ["vggt-tracker-fixed"]


def test_commercial_use_is_allowed_only_where_that_is_known() -> None:
    allowed = [name for name, known in RECORDS.items() if known.licence.commercial]
    assert allowed == ["tiny", "vggt-1b-commercial"]
    assert [name for name, known in RECORDS.items() if known.gated] == ["vggt-1b-commercial"]


def test_the_embedded_model_is_described_by_its_file() -> None:
    known = record(EMBEDDED)
    assert known.sha256 == file_sha256(EMBEDDED_WEIGHTS)
    assert known.size_bytes == known.estimated_bytes == EMBEDDED_WEIGHTS.stat().st_size


def test_nothing_is_made_up_about_files_that_were_never_seen(shared_dir: Path) -> None:
    manifest = json.loads((shared_dir / "spec/golden/manifest_vggt_1b.json").read_text())
    for known in RECORDS.values():
        if known.repository is not None:
            assert (known.size_bytes, known.sha256, known.revision) == (None, None, None)
            assert known.estimated_bytes == 4 * manifest["total_params"]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"'vggt-2b'; known are tiny, vggt-1b, .*--weights PATH"):
        record("vggt-2b")


def test_sizes_for_people() -> None:
    assert [gigabytes(5_026_150_064), gigabytes(10_118_958)] == ["5.03 GB", "10.1 MB"]

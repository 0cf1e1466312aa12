"""The names that users may rely on."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import vggt_sfm

PUBLIC = [
    "VGGT",
    "CapabilityError",
    "GateError",
    "InputError",
    "ReconstructConfig",
    "ReconstructResult",
    "ReconstructionError",
    "VGGTConfig",
    "VggtSfmError",
    "WeightsError",
    "__version__",
    "reconstruct",
]


def test_public_names_are_these_and_all_load() -> None:
    assert vggt_sfm.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(vggt_sfm, name) is not None
        assert name in dir(vggt_sfm)
    assert callable(vggt_sfm.reconstruct)
    with pytest.raises(AttributeError, match="no attribute 'reconstrukt'"):
        vggt_sfm.reconstrukt  # noqa: B018


def test_everything_public_is_documented() -> None:
    for name in PUBLIC:
        value = getattr(vggt_sfm, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert (value.__doc__ or "").strip(), name


def test_import_is_light_and_installs_no_handler_that_prints() -> None:
    code = (
        "import logging, sys, vggt_sfm\n"
        "assert not {'numpy', 'torch', 'pycolmap', 'click'} & set(sys.modules)\n"
        "kinds = {type(handler) for handler in logging.getLogger('vggt_sfm').handlers}\n"
        "assert kinds == {logging.NullHandler}, kinds\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_python_call_takes_what_the_readme_shows() -> None:
    parameters = inspect.signature(vggt_sfm.reconstruct).parameters
    assert list(parameters) == ["images", "output", "config", "progress", "predictor"]
    assert all(parameters[name].default is None for name in list(parameters)[1:])

"""Errors that end a run, each with the exit code the command line returns."""

from __future__ import annotations


class VggtSfmError(Exception):
    """Base of every error a user can cause or cure; never raised itself."""

    exit_code = 1


class InputError(VggtSfmError):
    """Images or files that cannot be used: none found, unreadable, sizes disagree."""

    exit_code = 3


class WeightsError(VggtSfmError):
    """Weights that are missing, damaged or made for another architecture."""

    exit_code = 4


class ReconstructionError(VggtSfmError):
    """Nothing could be reconstructed; with ``--strict`` also a rejected adjustment."""

    exit_code = 5


class CapabilityError(VggtSfmError):
    """Something was asked for that this machine or installation does not have."""

    exit_code = 6


def missing_extra(need: str, extra: str) -> CapabilityError:
    """Say which extra a feature needs, and how to install it.

    >>> str(missing_extra("videos need", "video"))
    "videos need one more package: pip install 'vggt-sfm[video]'"
    """
    return CapabilityError(f"{need} one more package: {install_line(extra)}")


def install_line(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'vggt-sfm[{extra}]'"


class GateError(VggtSfmError):
    """A benchmark fell below its baseline, or a comparison missed what was asked of it."""

    exit_code = 7

"""Which random seeds are whose, so that no scene of a test is seen in training."""

from __future__ import annotations

FIRST_VALIDATION_SEED = 1_000_000
"""Training uses the seeds below."""
FIRST_TEST_SEED = 2_000_000
"""Validation uses the seeds below; tests use this one and those above."""

"""The learning rate over a run, by hand."""

from __future__ import annotations

import pytest

from vggt_sfm.training.plan import Plan, rate_factor


def test_the_rate_rises_linearly_and_falls_along_half_a_cosine() -> None:
    plan = Plan(steps=110, peak_rate=1.0, warm_up=10)
    assert rate_factor(0, plan) == pytest.approx(0.1)
    assert rate_factor(9, plan) == 1
    assert rate_factor(10, plan) == 1
    assert rate_factor(35, plan) == pytest.approx(0.8535534)  # (1 + cos 45°) / 2
    assert rate_factor(60, plan) == pytest.approx(0.5)
    assert 0 < rate_factor(109, plan) < 0.001


def test_the_rate_stays_until_its_decay_begins() -> None:
    plan = Plan(steps=1000, peak_rate=1.0, warm_up=200, decay_share=0.4)
    assert {rate_factor(step, plan) for step in range(200, 601)} == {1.0}
    assert rate_factor(800, plan) == pytest.approx(0.5)


def test_a_run_may_end_within_its_warm_up() -> None:
    plan = Plan(steps=3, peak_rate=1.0, warm_up=10)
    assert [rate_factor(step, plan) for step in range(3)] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"decay_share": 0.0}, {"average": 1.0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Plan"):
        Plan(**{"steps": 1, "peak_rate": 1.0, **wrong})  # type: ignore[arg-type]

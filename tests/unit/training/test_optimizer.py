"""Which parameters are trained, how fast, and their average."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vggt_sfm.errors import InputError
from vggt_sfm.training.average import Average
from vggt_sfm.training.optimizer import Optimizers, fits, freeze, trained
from vggt_sfm.training.plan import Plan

ADAM_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}


def network() -> nn.Module:
    return nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Sequential(nn.Linear(2, 1))})


@pytest.mark.parametrize(
    ("glob", "meant"),
    [
        ("head", True),
        ("head.0", True),
        ("head.*.weight", True),
        ("*", True),
        ("hea", False),
        ("trunk", False),
    ],
)
def test_globs_mean_parameters_and_modules(glob: str, meant: bool) -> None:
    assert fits("head.0.weight", glob) is meant


def test_frozen_parameters_need_no_gradient_and_are_thawed_again() -> None:
    model = network()
    freeze(model, ["trunk"])
    assert set(trained(model)) == {"head.0.weight", "head.0.bias"}
    freeze(model, [])
    assert len(trained(model)) == 4


def test_groups_have_their_own_rates_and_decay_matrices_only() -> None:
    plan = Plan(steps=1, peak_rate=1.0, rates=(("trunk.bias", 3.0), ("trunk", 2.0)))
    optimizers = Optimizers(network(), plan)
    optimizers.set_rates(0.5)
    (optimizer,) = optimizers.all
    found = [(g["lr"], g["weight_decay"], len(g["params"])) for g in optimizer.param_groups]
    assert sorted(found) == [(0.5, 0.0, 1), (0.5, 0.02, 1), (1.0, 0.02, 1), (1.5, 0.0, 1)]


def test_muon_trains_the_matrices_and_adam_the_rest() -> None:
    model = network()
    optimizers = Optimizers(model, Plan(steps=1, peak_rate=1.0, muon_rate=7.0))
    muon, adam = optimizers.all
    assert isinstance(muon, torch.optim.Muon)
    assert {p.ndim for g in muon.param_groups for p in g["params"]} == {2}
    assert {p.ndim for g in adam.param_groups for p in g["params"]} == {1}
    optimizers.set_rates(0.5)
    assert [g["lr"] for g in muon.param_groups] == [3.5]
    sum(p.square().sum() for p in model.parameters()).backward()
    optimizers.step()
    for parameter in model.parameters():
        moments = optimizers.moments(parameter)
        assert set(moments) == ({"momentum_buffer"} if parameter.ndim == 2 else ADAM_MOMENTS)
    optimizers.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_globs_that_mean_nothing_or_leave_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"no parameter fits 'tail'; they are in head, trunk"):
        freeze(network(), ["tail"])
    with pytest.raises(InputError, match="nothing is left to train"):
        freeze(network(), ["*"])
    with pytest.raises(InputError, match="'tail'"):
        Optimizers(network(), Plan(steps=1, peak_rate=1.0, rates=(("tail", 1.0),)))


def test_the_average_follows_the_weights() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = Average(model, decay=0.15)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average.update(model)  # decay (1 + 0) / (10 + 0)
    assert float(average.values["weight"]) == pytest.approx(0.9)
    average.update(model)  # decay 0.15 < (1 + 1) / (10 + 1)
    assert float(average.values["weight"]) == pytest.approx(1 - 0.1 * 0.15)

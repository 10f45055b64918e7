"""Faults planted in a real walk: which part of the cross-check sees each."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from flow.data import ImageSet
from flow.models import Network
from flow.noise.hardware import fixed_point, sampler
from flow.noise.hardware.registers import TapSettings
from flow.walks.crosscheck import sample_check
from flow.walks.crosscheck.check import CrossCheck, cross_check
from flow.walks.crosscheck.sample_check import check_samples
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint
from flow.walks.points.store import Store
from flow.walks.sides import golden
from flow.walks.walk import Walk

SITES = ("fc0.acc", "fc1.acc", "fc2.acc", "fc3.acc")
LEVELS = (4.0, 9.0, 14.0, 20.0, 28.0, 45.0, 90.0)
VERDICTS = ["agree", "disagree", "undecided"]
Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def dense(network: Network, accelerator, inputs: Tensor, digits: ImageSet, tmp_path: Path) -> Walk:
    return Walk(
        network=network,
        accelerator=accelerator,
        inputs=inputs,
        labels=digits.labels,
        placement=Placement(NoiseSetting("additive", seed=1)),
        store=Store(tmp_path),
        build=tmp_path,
    )


def judged(walk: Walk) -> CrossCheck:
    """Walk without RTL, which the statistics do not look at, on a margin for 500 images."""
    places = [NoisePoint(site, s, d) for site in SITES for d in range(4) for s in LEVELS]
    points = walk.run_models([NoisePoint("", 0.0), *places])
    return cross_check(points, walk.labels, 0.1, margin=0.08, resamples=299)


def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant no fault."""


def large_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiply by a σ that is 15 % too large, in golden and RTL alike."""
    of = TapSettings.of

    def wrong(*arguments, **options) -> TapSettings:
        settings = of(*arguments, **options)
        return replace(settings, sigma_add=round(1.15 * settings.sigma_add))

    monkeypatch.setattr(TapSettings, "of", wrong)


def large_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch the table of the normal distribution by 15 %."""
    monkeypatch.setattr(fixed_point, "TABLE", np.round(1.15 * fixed_point.TABLE).astype(np.int64))


def drawn(change: Callable[[Tensor], Tensor]) -> Plant:
    """Change the samples wherever the hardware's are drawn."""
    draw = fixed_point.draw_samples

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (fixed_point, sampler, golden, sample_check):
            monkeypatch.setattr(module, "draw_samples", lambda *a, **o: change(draw(*a, **o)))

    return plant


def repeated(z: Tensor) -> Tensor:
    """Let two blocks of the first image be the same."""
    if z.shape[1] >= 16:
        z[0, 8:16] = z[0, :8]
    return z


def correlated(z: Tensor) -> Tensor:
    """Mix a tenth of each sample's neighbour in."""
    mixed = (z + 0.1 * z.roll(1, dims=1)) / (1 + 0.1**2) ** 0.5
    return mixed.round().to(torch.int32)


@pytest.mark.parametrize(
    ("plant", "sites", "numbers", "failed"),
    [
        (nothing, "agree", ["agree"], None),
        (large_registers, "disagree", ["agree"], None),
        # at so few images the accuracy alone does not always tell 15 % from 8 %
        (large_table, "agree", ["disagree", "undecided"], "variance"),
        (drawn(torch.abs), "agree", ["disagree"], "share of negative samples"),
        (drawn(repeated), "agree", ["agree"], "blocks of 8 samples that occur again"),
        (drawn(correlated), "agree", VERDICTS, "samples at a distance of 1"),
    ],
    ids=["none", "registers", "table", "dead sign", "repeated block", "neighbours"],
)
def test_each_fault_is_seen_by_its_part(
    plant: Plant, sites: str, numbers: list[str], failed: str | None, dense: Walk, monkeypatch
) -> None:
    plant(monkeypatch)
    check = judged(dense)
    assert {site.judgement.verdict for site in check.sites} == {sites}
    assert check.random_numbers is not None
    assert check.random_numbers.judgement.verdict in numbers
    samples = check_samples(dense.context, SITES)
    assert samples.good == (failed is None)
    if failed:
        assert any(failed in text for text in samples.failed), samples.failed
    assert samples.samples > 10**5

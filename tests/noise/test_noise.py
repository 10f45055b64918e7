"""Noise in software: the formulas, the samples, and taps that are not there when silent."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from flow.errors import UserError
from flow.noise import (
    Additive,
    Mixed,
    Multiplicative,
    Noise,
    NoiseTap,
    TorchSampler,
    derive_seed,
)


class Ramp:
    """Samples that are no noise at all: 1, 2, 3 … for z₁, ten times as much for z₂."""

    first_image = 0

    def start_batch(self, first_image: int) -> None:
        pass

    def pattern(self, site: str, draw: int, channels: int, device: int) -> Tensor:
        return self(site, draw, (channels,)) * device

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        ramp = torch.arange(1, math.prod(shape) + 1, dtype=torch.float32).reshape(tuple(shape))
        return ramp * 10**draw


Y = torch.tensor([[2.0, -3.0]])


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (Noise.at("additive", 0.5), [[2 + 5, -3 + 10]]),
        (Noise.at("multiplicative", 0.5), [[2 * 1.5, -3 * 2]]),
        (Mixed(0.25, 0.5), [[2 * 1.5 + 2.5, -3 * 2 + 5]]),
        (Mixed(0.25, 0.5, order="add-mul"), [[(2 + 2.5) * 1.5, (-3 + 5) * 2]]),
    ],
)
def test_formulas(noise: Noise, expected: list[list[float]]) -> None:
    tap = NoiseTap()
    tap.set("fc0.acc", noise, Ramp())
    assert tap(Y).tolist() == expected


@pytest.mark.parametrize(
    ("noise", "variance"),
    [
        (Noise.at("additive", 2), 2**2),
        (Noise.at("multiplicative", 0.5), (3 * 0.5) ** 2),
        (Mixed(2, 0.5), (3 * 0.5) ** 2 + 2**2),
        (Mixed(2, 0.5, order="add-mul"), (3 * 0.5) ** 2 + 2**2 * (1 + 0.5**2)),
    ],
)
def test_mean_and_variance(noise: Noise, variance: float) -> None:
    tap = NoiseTap()
    tap.set("fc0.acc", noise, TorchSampler(0))
    values = tap(torch.full((4000, 250), 3.0)).double()
    # five standard errors of a million samples; the two orders are 16 % apart
    assert abs(values.mean() - 3) < 5 * math.sqrt(variance / 1e6)
    assert abs(values.var() / variance - 1) < 0.01


def test_samples_of_images_channels_sites_draws_batches_and_seeds_are_independent() -> None:
    def sample(seed: int = 0, site: str = "fc0.acc", draw: int = 0, first: int = 0) -> Tensor:
        sampler = TorchSampler(seed)
        sampler.start_batch(first)
        return sampler(site, draw, (1000, 100)).double()

    base = sample()
    pairs = {
        "images": (base[:-1], base[1:]),
        "channels": (base[:, :-1], base[:, 1:]),
        "sites": (base, sample(site="fc1.acc")),
        "draws": (base, sample(draw=1)),
        "batches": (base, sample(first=1000)),
        "seeds": (base, sample(seed=1)),
    }
    for name, (a, b) in pairs.items():
        correlation = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        assert abs(correlation) < 5 / math.sqrt(a.numel()), name


def test_mixed_level_is_amplitude_and_ratio() -> None:
    assert Noise.at("mixed", 8, ratio=0.25) == Mixed(sigma_add=2, sigma_mul=6)


@pytest.mark.parametrize("sigma", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("kind", ["additive", "multiplicative", "mixed"])
def test_bad_levels(kind: str, sigma: float) -> None:
    with pytest.raises(UserError, match="give a finite number of 0 or more"):
        Noise.at(kind, sigma)


def test_bad_names_and_combinations() -> None:
    with pytest.raises(UserError, match=r"unknown noise 'aditive'.*additive"):
        Noise.at("aditive", 1)
    with pytest.raises(UserError, match=r"unknown noise order 'mul-ad'.*mul-add"):
        Noise.at("mixed", 1, order="mul-ad")
    with pytest.raises(UserError, match="no multiplicative level"):
        Additive(1, 1)
    with pytest.raises(UserError, match="no additive level"):
        Multiplicative(1, 1)
    with pytest.raises(UserError, match="ratio is nan"):
        Noise.at("mixed", 1, ratio=math.nan)


@pytest.mark.parametrize("kind", ["additive", "multiplicative", "mixed"])
def test_a_silent_tap_returns_the_very_tensor(kind: str) -> None:
    tap = NoiseTap()
    assert tap(Y) is Y
    tap.set("fc0.acc", Noise.at(kind, 0), TorchSampler(0))
    assert tap(Y) is Y
    tap.set("fc0.acc", Noise.at(kind, 1), TorchSampler(0))
    assert tap(Y) is not Y
    tap.clear()
    assert tap(Y) is Y


def test_a_silent_tap_does_not_requantise() -> None:
    tap = NoiseTap(requantise=torch.round)
    tap.set("fc0.act", Noise.at("mixed", 0), TorchSampler(0))
    assert tap(Y) is Y


def test_a_tap_applies_in_the_modes_asked_for() -> None:
    tap = NoiseTap()
    tap.set("fc0.acc", Noise.at("additive", 1), TorchSampler(0), evaluation=False)
    assert tap.train()(Y) is not Y
    assert tap.eval()(Y) is Y
    tap.set("fc0.acc", Noise.at("additive", 1), TorchSampler(0), training=False)
    assert tap.train()(Y) is Y
    assert tap.eval()(Y) is not Y


def test_a_tap_has_no_state_and_no_children() -> None:
    tap = NoiseTap(requantise=nn.Linear(2, 2))
    tap.set("fc0.act", Noise.at("additive", 1), TorchSampler(0))
    assert not tap.state_dict() and not list(tap.parameters()) and not list(tap.children())


def test_a_tap_puts_values_back_on_the_grid() -> None:
    tap = NoiseTap(requantise=lambda y: y.round().clamp(-1, 1))
    tap.set("fc0.act", Noise.at("additive", 2), TorchSampler(0))
    noisy = tap(torch.zeros(100, 10))
    assert set(noisy.unique().tolist()) == {-1, 0, 1}


def test_samples_are_standard_normal() -> None:
    z = TorchSampler(0)("fc0.acc", 0, (1000, 1000)).double()
    assert abs(z.mean()) < 5e-3
    assert abs(z.var() - 1) < 7e-3
    assert abs((z**4).mean() - 3) < 5e-2


def test_samples_depend_on_seed_site_draw_and_image_alone() -> None:
    def sample(seed: int, site: str, draw: int, first: int, before: str = "") -> Tensor:
        sampler = TorchSampler(seed)
        sampler.start_batch(12345)
        sampler(site, draw, (3, 4))
        sampler.start_batch(first)
        if before:
            sampler(before, draw, (5, 6))
        return sampler(site, draw, (3, 4))

    base = sample(0, "fc1.acc", 0, 0)
    assert torch.equal(base, sample(0, "fc1.acc", 0, 0, before="fc0.acc"))
    for other in ((1, "fc1.acc", 0, 0), (0, "fc2.acc", 0, 0), (0, "fc1.acc", 1, 0)):
        assert not torch.equal(base, sample(*other))
    assert not torch.equal(base, sample(0, "fc1.acc", 0, 1000))


def test_samples_go_on_within_a_batch() -> None:
    sampler = TorchSampler(0)
    assert not torch.equal(sampler("fc0.acc", 0, (4,)), sampler("fc0.acc", 0, (4,)))


def test_derived_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(0, "fc0.acc", 1, 0) == 1019127774742731023

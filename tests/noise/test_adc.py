"""The ADC in software against its fixed-point twin, and as a designer reads it."""

import numpy as np
import pytest
import torch

from flow.errors import UserError
from flow.noise import Adc, Additive, Noise, NoiseTap, TorchSampler
from flow.noise.hardware.fixed_point import TapFormat, apply_tap
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.weights import WeightSite, settings_of

WIDE = TapFormat(frac=8, out_min=-(1 << 50), out_max=1 << 50)


def random_adc(rng: np.random.Generator, channels: int, unit: float) -> Adc:
    bits, signed = int(rng.choice([1, 12, rng.integers(2, 12)])), bool(rng.integers(2))
    full_scale = float(np.exp(rng.uniform(-8, 8)))
    negated = np.flatnonzero(rng.integers(0, 2, channels)).tolist() if signed else ()
    return Adc.of_range(bits, full_scale, unit, signed=signed, negated=negated)


def test_software_reads_what_the_twin_reads():
    """Of whole accumulators, with ties, offsets and negated channels."""
    rng = np.random.default_rng(1)
    ties = 0
    for _ in range(300):
        channels, scale = 6, float(np.exp(rng.uniform(-6, 2)))
        adc = random_adc(rng, channels, scale / 256)
        if rng.integers(2):
            step = 512 * int(rng.integers(1, 9))  # odd multiples of half of it are accumulators
            adc = Adc(adc.bits, step, adc.unit, adc.signed, adc.negated)
        acc = torch.from_numpy(rng.integers(-300, 300, (9, channels)))
        offset = torch.from_numpy(rng.integers(-3, 4, channels)) * 128
        settings = TapSettings.of(Additive(adc=adc), scale, 0)
        twin = apply_tap(acc, offset, WIDE, settings, 0)
        sign = torch.ones(channels)
        sign[list(adc.negated)] = -1
        real = sign * scale * (acc + offset / 256)
        found = Additive(adc=adc).apply(real.float(), None)
        expected = sign * scale * (twin + offset) / 256
        assert torch.allclose(found, expected.float(), rtol=1e-5, atol=1e-6 * adc.real_step), adc
        ties += int(((2 * ((acc << 8) + offset) + adc.step) % (2 * adc.step) == 0).sum())
    assert ties > 300


def test_codes_cover_the_range():
    signed, unsigned = Adc.of_range(3, 8.0, 1 / 64), Adc.of_range(3, 8.0, 1 / 64, signed=False)
    y = torch.linspace(-20, 20, 4001).view(1, -1)
    assert signed(y).unique().tolist() == [-8, -6, -4, -2, 0, 2, 4, 6]
    assert unsigned(y).unique().tolist() == list(range(8))
    assert signed(torch.tensor([[1.0, -1.0, 2.99, 3.0]])).tolist() == [[2, 0, 2, 4]]
    comparator = Adc.of_range(1, 8.0, 1 / 64)
    assert comparator(torch.tensor([[-3.0, 0.0, 0.1]])).tolist() == [[-4, 4, 4]]
    assert Adc.of_range(12, 1e-9, 1.0).step == 1
    assert Adc.of_range(1, 1e-9, 1.0).step == 2  # half of it is a whole number
    assert signed.full_scale == unsigned.full_scale == 8


def test_each_execution_is_read():
    """The mean of several has values between the codes; one has not."""
    adc, y = Adc.of_range(3, 4.0), torch.zeros(1, 500)
    once, mean = (Additive(1.0, executions=k, adc=adc) for k in (1, 4))
    tap = NoiseTap()
    found = {}
    for noise in (once, mean):
        tap.set("fc0.acc", noise, TorchSampler(3))
        found[noise] = tap(y) / adc.real_step
    assert torch.equal(found[once], found[once].round())
    assert torch.equal(4 * found[mean], (4 * found[mean]).round())
    assert not torch.equal(found[mean], found[mean].round())


def test_an_adc_alone_works_and_is_recorded():
    noise = Additive(adc=Adc.of_range(2, 1.0, negated=(1,)))
    assert noise.silent and not noise.idle and Additive().idle
    assert Noise.from_json(noise.to_json()) == noise
    assert noise.name != Additive(adc=Adc.of_range(3, 1.0)).name != Additive().name
    assert "adc" not in Additive(2.0).to_json()
    settings = TapSettings.of(noise, 1.0, 0)
    assert not settings.enable and not settings.idle
    tap = NoiseTap()
    tap.set("fc0.acc", noise, TorchSampler(0))
    assert tap(torch.full((1, 2), 0.4)).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("bits", [-1, 0, 13])
def test_bits_that_no_converter_has(bits):
    with pytest.raises(UserError, match="1 to 12"):
        Adc.of_range(bits, 1.0)


def test_a_range_beyond_the_register_and_weights():
    with pytest.raises(UserError, match="step"):
        Adc.of_range(1, 1e9, 1e-3)
    site = WeightSite(
        "fc0.weight", 0, 1.0, 0.0, -1, 1, 1, (2, 2), 2, (), "MVAU", std=1.0, range=1.0
    )
    with pytest.raises(UserError, match="not read by an ADC"):
        settings_of(Additive(adc=Adc.of_range(2, 1.0)), site, 0)

"""The noise tap in RTL against its Python twin, bit for bit."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from flow.compiler.operators.noise_tap import NoiseTap_rtl
from flow.errors import UserError
from flow.noise import Noise
from flow.noise.hardware.fixed_point import (
    PATTERN_DRAW,
    TapFormat,
    apply_tap,
    digest,
    draw_samples,
    round_shift,
)
from flow.noise.hardware.registers import TapSettings, largest_factor, sigma_fraction_bits
from flow.noise.quantile_table import QuantileTable
from sim.runner import REPOSITORY
from tests.helpers.variants import Variant, simulate

SOURCES = [REPOSITORY / "hw" / name for name in NoiseTap_rtl.sources]


@dataclass(frozen=True)
class Shape:
    """One configuration of the hardware."""

    channels: int
    pe: int
    pixels: int
    in_bits: int
    out_bits: int
    in_signed: bool = True
    out_signed: bool = True
    frac: int = 8
    rounds: bool = False
    bipolar: bool = False
    bounds: tuple[int, int] | None = None
    offset_bits: int = 1
    site: int = 3

    @property
    def format(self) -> TapFormat:
        low, high = self.bounds or (-(1 << self.out_bits - 1), (1 << self.out_bits - 1) - 1)
        step = 2 if self.bipolar else 1
        return TapFormat(self.frac, low, high, self.rounds, step, sigma_fraction_bits(self.in_bits))


SHAPES = {
    "one lane": Shape(channels=6, pe=1, pixels=2, in_bits=7, out_bits=16),
    "two lanes, offsets": Shape(8, 2, 1, in_bits=12, out_bits=24, offset_bits=14),
    "three lanes of wide values": Shape(9, 3, 2, in_bits=20, out_bits=32, frac=4),
    "eight lanes": Shape(16, 8, 3, in_bits=11, out_bits=17, offset_bits=16),
    "rounded": Shape(
        8, 4, 2, in_bits=4, out_bits=4, in_signed=False, out_signed=False, rounds=True,
        bounds=(0, 15),
    ),
    "one bit in two": Shape(
        8, 8, 1, in_bits=2, out_bits=2, rounds=True, bipolar=True, bounds=(-1, 1)
    ),
    "one bit": Shape(
        8, 4, 2, in_bits=1, out_bits=1, out_signed=False, rounds=True, bipolar=True, bounds=(-1, 1)
    ),
}  # fmt: skip

SEED = 0x0123_4567_89AB_CDEF
ADDITIVE = TapSettings(seed=SEED, sigma_add=5 << 15, enable=True)
POINTS = [
    TapSettings(),
    ADDITIVE,
    replace(ADDITIVE, image_base=1000, sigma_add=0xFFFF_FFFF),
    TapSettings(seed=SEED, sigma_mul=3 << 14, enable=True),
    TapSettings(seed=1, sigma_add=9 << 14, sigma_mul=0xFF_FFFF, enable=True, image_base=5),
    TapSettings(seed=1, sigma_add=9 << 14, sigma_mul=1 << 16, enable=True, add_first=True),
    replace(ADDITIVE, enable=False),
    replace(ADDITIVE, image_base=0xFFFF_FFF0),
]
SKEWED = QuantileTable.of(np.sort(np.random.default_rng(3).gamma(2, size=500)).astype(np.float32))
PATTERN = replace(ADDITIVE, sigma_mul=3 << 14, pattern=True)
DRIFT = TapSettings(
    seed=9, sigma_add=9 << 14, sigma_mul=3 << 13, enable=True, image_base=700,
    gain_rate=-(1 << 20), sigma_rate=5 << 20,
)  # fmt: skip
KINDS = [
    PATTERN,
    replace(PATTERN, image_base=40, add_first=True),
    DRIFT,
    replace(DRIFT, sigma_rate=0, image_base=0xFFFF_FFFE),
    replace(DRIFT, sigma_add=0, sigma_mul=0, gain_rate=1 << 30, image_base=(1 << 32) - 9),
    replace(DRIFT, gain_rate=-(1 << 31), sigma_rate=-(1 << 31), image_base=1),
    replace(DRIFT, gain_rate=0, sigma_rate=(1 << 31) - 1, sigma_add=0xFFFF_FFFF),
    replace(ADDITIVE, table=SKEWED),
    replace(ADDITIVE, table=SKEWED, sigma_mul=3 << 14, add_first=True),
]
REPEATS = [
    TapSettings(executions=5),
    replace(ADDITIVE, executions=2),
    replace(POINTS[4], executions=3),
    replace(POINTS[5], executions=7),
    replace(ADDITIVE, executions=64, sigma_add=0xFFFF_FFFF),
    replace(PATTERN, executions=3),
    replace(DRIFT, executions=4),
    replace(ADDITIVE, table=SKEWED, executions=6),
    ADDITIVE,
]
CONVERTERS = [
    replace(ADDITIVE, adc_bits=6, adc_step=1000),
    TapSettings(adc_bits=12, adc_step=1),
    TapSettings(adc_bits=1, adc_step=600),
    TapSettings(adc_bits=3, adc_step=512),  # each odd accumulator is half way between two codes
    replace(ADDITIVE, adc_bits=1, adc_step=(1 << 32) - 2),
    TapSettings(adc_bits=12, adc_step=(1 << 32) - 1),
    TapSettings(adc_bits=1, adc_step=701, adc_unsigned=True),
    replace(POINTS[4], adc_bits=8, adc_step=4096, adc_unsigned=True),
    replace(ADDITIVE, adc_bits=5, adc_step=777, executions=3),
    replace(DRIFT, adc_bits=7, adc_step=900),
    replace(ADDITIVE, table=SKEWED, adc_bits=12, adc_step=33),
    *(
        replace(ADDITIVE, seed=bits, adc_bits=bits, adc_step=2 * step, adc_unsigned=bits % 3 == 0)
        for bits, step in enumerate(np.random.default_rng(4).integers(1, 3000, 12).tolist(), 1)
    ),
    ADDITIVE,
]
LATE = [replace(ADDITIVE, image_base=20), DRIFT, replace(POINTS[4], image_base=(1 << 32) - 2)]
"""Settings that arrive after the image they were meant for; the first of them before any image."""
IMAGES = 3


def stimulus(shape: Shape, images: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    low = -(1 << shape.in_bits - 1) if shape.in_signed else 0
    low, high = shape.bounds or (low, low + (1 << shape.in_bits) - 1)
    count = (images, shape.pixels * shape.channels)
    values = torch.randint(low, high + 1, count, generator=generator)
    return values | 1 if shape.bipolar else values


def offsets(shape: Shape) -> torch.Tensor:
    if shape.offset_bits == 1:
        return torch.zeros(shape.channels, dtype=torch.int64)
    limit = 1 << shape.offset_bits - 1
    return torch.randint(
        -limit, limit, (shape.channels,), generator=torch.Generator().manual_seed(6)
    )


def twin(shape: Shape, values: torch.Tensor, points) -> tuple[torch.Tensor, torch.Tensor]:
    out = [
        apply_tap(part, offsets(shape), shape.format, settings, shape.site)
        for part, settings in zip(values.split(IMAGES), points, strict=True)
    ]
    stream = torch.cat(out)
    return stream, digest(stream)


CONDITIONS = {
    "smooth": {"idle": 0.0, "stall": 0.0, "interrupt": 0},
    "stalls": {"idle": 0.4, "stall": 0.5, "interrupt": 0},
    "reset": {"idle": 0.2, "stall": 0.2, "interrupt": 7},
}


def conditions(points) -> list[str]:
    """Return the conditions of a stimulus; the longest is not run under stalls alone."""
    return [name for name in CONDITIONS if name != "stalls" or points is not CONVERTERS]


STIMULI = {
    "basic": POINTS, "kinds": KINDS, "repeats": REPEATS, "converters": CONVERTERS, "late": LATE,
}  # fmt: skip
IMAGES_LATE = 2


def start_of(point: int, points) -> int:
    """Return the image for which a point's settings are meant, counted from the reset."""
    return (point * IMAGES - IMAGES_LATE * (points is LATE)) % (1 << 32)


def applied(points) -> list[TapSettings]:
    """Return settings as if they were meant for the image they apply to: it keeps its number."""
    late = IMAGES_LATE * (points is LATE)
    return [replace(one, image_base=(one.image_base + late) % (1 << 32)) for one in points]


def job(shape: Shape, points) -> dict:
    """All points under the conditions of their stimulus."""
    values = stimulus(shape, IMAGES * len(points))
    sent = (values + 1) // 2 if shape.in_bits == 1 else values
    return {
        "beats": sent.reshape(-1, shape.pe).tolist(),
        "points": [list(s.registers(start_of(i, points))) for i, s in enumerate(points)],
        "table": list(TapSettings(table=SKEWED).table_registers()),
        "site": shape.site,
        "in_bits": shape.in_bits,
        "out_bits": shape.out_bits,
        "out_signed": shape.out_signed,
        "conditions": [CONDITIONS[name] for name in conditions(points)],
        "seed": 11,
    }


def variant(shape: Shape) -> Variant:
    fmt = shape.format
    packed = sum(
        (int(o) % (1 << shape.offset_bits)) << (c * shape.offset_bits)
        for c, o in enumerate(offsets(shape))
    )
    parameters = {
        "CHANNELS": shape.channels,
        "PE": shape.pe,
        "PIXELS": shape.pixels,
        "IN_WIDTH": shape.in_bits,
        "IN_SIGNED": int(shape.in_signed),
        "FRAC": shape.frac,
        "ROUND": int(shape.rounds),
        "BIPOLAR": int(shape.bipolar),
        "OUT_WIDTH": shape.out_bits,
        "OUT_SIGNED": int(shape.out_signed),
        "OUT_MIN": f"64'sh{fmt.out_min & (1 << 64) - 1:x}",
        "OUT_MAX": f"64'sh{fmt.out_max:x}",
        "OFFSET_WIDTH": shape.offset_bits,
        "OFFSETS": f"{shape.channels * shape.offset_bits}'h{packed:x}",
        "SITE": shape.site,
    }
    return Variant(parameters, [job(shape, points) for points in STIMULI.values()])


@pytest.fixture(scope="module", params=SHAPES)
def simulated(request, tmp_path_factory):
    """A shape, and what its RTL gives for each stimulus: of one shape, since all would be slow."""
    shape = SHAPES[request.param]
    folder = tmp_path_factory.mktemp("noise_tap")
    results = simulate("noise_tap", SOURCES, "noise_tap_bench", {"tap": variant(shape)}, folder)
    return shape, results


@pytest.mark.slow
@pytest.mark.parametrize("points", STIMULI)
def test_rtl_equals_twin_with_settings_changed_between_images(points, simulated):
    shape, results = simulated
    values = stimulus(shape, IMAGES * len(STIMULI[points]))
    stream, digests = twin(shape, values, applied(STIMULI[points]))
    found = dict(zip(STIMULI, results["tap"], strict=True))[points]
    for condition, out in zip(conditions(STIMULI[points]), found, strict=True):
        rtl = torch.tensor(out["values"]).reshape(len(values), -1)
        rtl = 2 * rtl - 1 if shape.in_bits == 1 else rtl
        differing = (rtl != stream).nonzero()
        assert not len(differing), f"{condition}: first at image, element {differing[0].tolist()}"
        assert torch.equal(torch.tensor(out["digests"]), digests), condition
        assert out["late"] == (len(LATE) if points == "late" else 0), condition


def test_every_setting_of_the_stimulus_matters():
    shape = SHAPES["two lanes, offsets"]
    values = stimulus(shape, IMAGES)
    streams = [
        apply_tap(values, offsets(shape), shape.format, settings, shape.site)
        for settings in (*POINTS, *KINDS, *REPEATS[:-1])
        if settings.enable and settings != REPEATS[5]
    ]
    for i, a in enumerate(streams):
        assert not torch.equal(a, values << shape.frac)
        assert not any(torch.equal(a, b) for b in streams[:i])


def test_k_executions_are_the_mean_of_k_single_ones():
    """The wide values are averaged; what the format does to them comes after."""
    wide = TapFormat(frac=8, out_min=-(1 << 50), out_max=1 << 50)
    acc = torch.randint(-500, 500, (4, 12), generator=torch.Generator().manual_seed(1))
    o = torch.arange(6) * 100
    for settings in (ADDITIVE, POINTS[4], POINTS[5], DRIFT, replace(ADDITIVE, table=SKEWED)):
        for k in (1, 2, 5, 64):
            singles = []
            for i in range(k):
                drawn = {
                    d: draw_samples(settings.seed, 3, 2 * i + d, settings.image_base, 4, 12,
                                    settings.table_of(d))
                    for d in range(2)
                }  # fmt: skip
                singles.append(apply_tap(acc, o, wide, settings, 3, drawn))
            mean = (torch.stack(singles).sum(0) + k // 2).div(k, rounding_mode="floor")
            for fmt in (wide, TapFormat(8, -1000, 900), TapFormat(8, -3, 3, rounds=True)):
                got = apply_tap(acc, o, fmt, replace(settings, executions=k), 3)
                value = (mean + 128) >> 8 if fmt.rounds else mean
                assert torch.equal(got, value.clamp(fmt.out_min, fmt.out_max))


def test_a_converter_reads_the_nearest_code_of_the_real_value():
    wide = TapFormat(frac=8, out_min=-(1 << 50), out_max=1 << 50)
    acc, o = torch.arange(-40, 40)[None], torch.tensor([128])
    real = (acc << 8) + 128
    for bits, unsigned in ((1, False), (1, True), (4, False), (4, True), (12, False)):
        for step in (1, 2, 254, 512, 1024, 1 << 31):
            settings = TapSettings(adc_bits=bits, adc_step=step, adc_unsigned=unsigned)
            least = 0 if unsigned else -(1 << bits - 1)
            levels = torch.arange(least, least + (1 << bits)) * step
            if bits == 1 and not unsigned:
                levels = torch.tensor([-(step // 2), step // 2])
            # of two that are as near, the larger
            distance = (real[..., None] - levels.flip(0)).abs()
            nearest = levels.flip(0)[distance.argmin(-1)]
            assert torch.equal(apply_tap(acc, o, wide, settings, 3), nearest - 128), settings


def test_a_pattern_is_a_channels_own_in_every_image_and_execution():
    wide = TapFormat(frac=8, out_min=-(1 << 50), out_max=1 << 50)
    acc = torch.full((3, 12), 100)
    out = apply_tap(acc, torch.zeros(6, dtype=torch.int64), wide, PATTERN, 3)
    assert torch.equal(out, out[:1, :6].tile(3, 2))
    assert len(out[0].unique()) == 6
    again = apply_tap(acc, torch.zeros(6, dtype=torch.int64), wide,
                      replace(PATTERN, executions=9, image_base=77), 3)  # fmt: skip
    assert torch.equal(out, again)
    z = (
        draw_samples(SEED, 3, PATTERN_DRAW, 0, 1, 6),
        draw_samples(SEED, 3, PATTERN_DRAW + 1, 0, 1, 6),
    )
    real = 100 * (1 + 0.75 * z[0] / 4096) + 2.5 * z[1] / 4096
    assert (out[:1, :6] / 256 - real).abs().max() < 1 / 128


def test_drift_follows_its_line_and_ends_at_nothing():
    wide = TapFormat(frac=8, out_min=-(1 << 50), out_max=1 << 50)
    rate = round(-0.25 * (1 << 32))
    gains = TapSettings(enable=True, gain_rate=rate, image_base=0)
    acc = torch.full((6, 2), 100)
    out = apply_tap(acc, torch.tensor([0, 10 << 8]), wide, gains, 3) / 256
    expected = torch.tensor([1, 0.75, 0.5, 0.25, 0, 0])
    assert torch.equal(out[:, 0], 100 * expected)
    assert torch.equal(out[:, 1], 110 * expected - 10)


def test_product_beyond_63_bits_is_exact():
    shape = TapFormat(frac=8, out_min=-(1 << 62), out_max=1 << 62)
    settings = TapSettings(seed=3, sigma_add=0xFFFF_FFFF, sigma_mul=0xFF_FFFF, enable=True)
    settings = replace(settings, add_first=True)
    acc = torch.tensor([[(1 << 23) - 1, -(1 << 23)]])
    z1 = torch.tensor([[26000, -26000]])
    z2 = torch.tensor([[25999, 25998]])
    out = apply_tap(acc, torch.zeros(2, dtype=torch.int64), shape, settings, 0, {0: z1, 1: z2})
    for column in range(2):
        a, g, n = (int(t[0, column]) for t in (acc, z1, z2))
        added = (settings.sigma_add * n + (1 << 19)) >> 20
        product = ((a << 8) + added) * settings.sigma_mul * g
        assert out[0, column] == (a << 8) + added + ((product + (1 << 27)) >> 28)


def test_round_shift_rounds_halves_up():
    assert round_shift(torch.tensor([3, 2, 1, 0, -1, -2, -3, -6]), 2).tolist() == [
        1, 1, 0, 0, 0, 0, -1, -1,
    ]  # fmt: skip


def test_digest_changes_with_any_single_element():
    values = torch.arange(12).reshape(1, 12) - 6
    clean = digest(values)
    for element in range(12):
        for delta in (1, -1, 1 << 31):
            changed = values.clone()
            changed[0, element] += delta
            assert digest(changed) != clean


def test_digest_changes_with_any_two_elements_that_change_by_less_than_256():
    """Swapped, shifted or opposite errors do not cancel, up to 1,000 elements apart."""
    farther = digest(torch.eye(1001, dtype=torch.int64)).flip(0)[1:, None]
    beside = torch.arange(1, 256)
    both = (farther * beside) & 0xFFFF_FFFF
    assert (torch.minimum(both, (1 << 32) - both) > 255).all()


@pytest.mark.parametrize("in_bits", [17, 18])
@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e4])
@pytest.mark.parametrize("kind", ["additive", "multiplicative", "mixed", "fixed-pattern"])
def test_the_largest_level_is_what_the_registers_hold(kind, scale, in_bits):
    bits = sigma_fraction_bits(in_bits)
    largest = largest_factor(Noise.at(kind, 1.0), scale, bits)
    assert TapSettings.of(Noise.at(kind, largest), scale, 0, 0, bits).enable
    with pytest.raises(UserError, match="beyond the register"):
        TapSettings.of(Noise.at(kind, 1.02 * largest), scale, 0, 0, bits)
    if kind == "additive":
        # 65,536 LSB, and 2^24 where values have more than 17 bits
        assert largest == pytest.approx(0.99 * scale * 2 ** (16 if in_bits == 17 else 24))


def test_noise_of_wide_values_is_the_same_where_both_registers_hold_it():
    """A register with fewer fractional bits changes the noise by no more than its rounding."""
    acc = torch.randint(-(1 << 19), 1 << 19, (4, 500), generator=torch.Generator().manual_seed(1))
    noise, o = Noise.at("additive", 30_000.3), torch.zeros(5, dtype=torch.int64)
    fine, wide = (
        apply_tap(acc, o, TapFormat(4, -(1 << 31), (1 << 31) - 1, sigma_frac=bits),
                  TapSettings.of(noise, 1.0, 7, sigma_bits=bits), 3)
        for bits in (16, 8)
    )  # fmt: skip
    assert (fine - wide).abs().max() == 1
    assert (fine - (acc << 4)).double().std() == pytest.approx(30_000 * 16, rel=0.1)

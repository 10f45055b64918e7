"""Iterated generators against unrolled ones, bit for bit, at the rate they are chosen for."""

from dataclasses import replace

import pytest

from flow.compiler.folding.taps import Generator
from flow.noise.hardware.registers import TapSettings
from sim.runner import REPOSITORY
from tests.helpers.variants import Variant, simulate
from tests.hw.noise.test_noise_tap import (
    ADDITIVE,
    CONVERTERS,
    DRIFT,
    KINDS,
    PATTERN,
    POINTS,
    SKEWED,
    SOURCES,
    Shape,
    variant,
)

PAIR = REPOSITORY / "tests" / "benches" / "tap_pair.sv"
BITS = Shape(8, 8, 1, in_bits=1, out_bits=1, out_signed=False, rounds=True, bipolar=True,
             bounds=(-1, 1))  # fmt: skip
ROUNDED = Shape(16, 4, 2, in_bits=4, out_bits=4, in_signed=False, out_signed=False, rounds=True,
                bounds=(0, 15))  # fmt: skip
SHAPES = {
    "one lane": (Shape(16, 1, 1, in_bits=7, out_bits=16, offset_bits=12), 10, {}),
    "one lane of an odd image": (Shape(5, 1, 1, in_bits=8, out_bits=18, frac=4), 4, {}),
    "three lanes": (Shape(9, 3, 2, in_bits=8, out_bits=24), 20, {}),
    "four lanes": (ROUNDED, 5, {}),
    "five lanes, additive alone": (
        Shape(5, 5, 1, in_bits=16, out_bits=32, frac=12), None,
        {"KINDS": "6'd0", "CORES": 1, "SOURCES": 5},
    ),
    "two lanes of wide values": (
        Shape(6, 2, 1, in_bits=19, out_bits=32, offset_bits=22, frac=4), 8, {},
    ),
    "five lanes": (Shape(5, 5, 3, in_bits=5, out_bits=17, frac=1), 10, {}),
    "eight lanes of one bit": (BITS, 10, {}),
}  # fmt: skip
"""Each with the clocks between its beats, or with its generator's parameters."""
SETTINGS = [
    (POINTS[4], None),
    *((one, None) for one in (*POINTS[5:], *KINDS[:5], KINDS[8])),
    (replace(ADDITIVE, executions=2, image_base=(1 << 32) - 1), None),
    (replace(PATTERN, executions=5), None),
    (replace(DRIFT, executions=4), None),
    (replace(ADDITIVE, table=SKEWED, executions=3, sigma_add=0xFFFF_FFFF), None),
    (TapSettings(executions=5), None),
    *((one, None) for one in CONVERTERS[1:12:2]),
    (CONVERTERS[8], None),
    (replace(ADDITIVE, image_base=20), -2),
    (DRIFT, -(1 << 30)),
    (replace(POINTS[4], image_base=(1 << 32) - 2), -1),
    (POINTS[4], None),
]
"""Settings, and where they take effect, as the bench has it; the last is of mixed noise."""


def built(shape: Shape, clocks: int | None, parameters: dict) -> dict:
    if clocks is None:
        return parameters
    chosen = Generator.of(shape.channels, shape.pe, clocks, 1 if "KINDS" in parameters else 2)
    assert chosen.cores
    return parameters | {
        "CORES": chosen.cores, "SOURCES": chosen.sources,
        "DIGEST_LANES": chosen.digest_lanes,
    }  # fmt: skip


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    variants = {}
    for name, (shape, clocks, parameters) in SHAPES.items():
        beats = shape.channels * shape.pixels // shape.pe
        job = {
            "settings": [(list(one.registers(0)), ahead) for one, ahead in SETTINGS],
            "table": list(TapSettings(table=SKEWED).table_registers()),
            "beats_an_image": beats,
            "next": 10 // beats + 2,
            "clocks": 200,
            "idle": 20,
            "stall": 20,
            "interrupt": 4,
            "measured": 0,
        }
        smooth = job | {
            "settings": job["settings"][-1:], "idle": 0, "stall": 0, "interrupt": 0, "table": [],
            "measured": 2000,
        }  # fmt: skip
        parameters = dict(variant(shape).parameters) | built(shape, clocks, parameters)
        variants[name] = Variant(parameters, [job, smooth])
    folder = tmp_path_factory.mktemp("tap_pair")
    return simulate("tap_pair", [*SOURCES, PAIR], "tap_pair_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_iterated_generators_make_the_same_numbers_as_unrolled_ones(name, simulated):
    """Settings change while samples wait; sources idle and sinks stall; a reset comes between."""
    found, _ = simulated[name]
    assert found["differing"] == 0
    assert found["beats"] > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, one in SHAPES.items() if one[1]])
def test_the_chosen_generator_keeps_up(name, simulated):
    _, smooth = simulated[name]
    assert smooth["differing"] == 0
    assert smooth["clocks_a_beat"] <= 1.02 * SHAPES[name][1]


def test_generators_are_chosen_by_the_clocks_between_beats():
    assert Generator.of(64, 1, 2) == Generator(3, 2, 1)
    assert Generator.of(64, 1, 10) == Generator(1, 1, 1)
    assert Generator.of(64, 1, 10_000) == Generator(1, 1, 1)
    assert Generator.of(64, 8, 10) == Generator(4, 2, 1)
    # a beat per clock is what unrolled generators are for
    assert Generator.of(64, 1, 1) == Generator(0, 1, 1)
    assert Generator.of(64, 2, 1) == Generator(0, 1, 2)
    # without multiplicative noise a source makes one draw, and sources share lanes alone
    assert Generator.of(64, 1, 10, draws=1) == Generator(1, 1, 1)
    assert Generator.of(64, 1, 4, draws=1) == Generator(2, 1, 1)
    assert Generator.of(64, 8, 10, draws=1) == Generator(4, 1, 1)
    # a block of ten channels has words for twelve
    assert Generator.of(10, 1, 10) == Generator(2, 1, 1)
    assert Generator.of(12, 1, 10) == Generator(1, 1, 1)
    # a beat is hashed in as many clocks as divide its lanes
    assert Generator.of(64, 8, 5, draws=1) == Generator(4, 2, 2)
    assert Generator.of(63, 9, 4).digest_lanes == 3

"""What taps are built for: the names, the parts in RTL, and what a noise needs."""

import re

import pytest

from flow.errors import UserError
from flow.noise import Noise
from flow.noise import kinds as noise_kinds
from flow.noise.hardware import kinds
from flow.noise.hardware.registers import TWINS, TapSettings
from flow.paths import HW


def test_parts_are_the_fields_of_the_rtl():
    package = (HW / "noise" / "noise_tap_pkg.sv").read_text()
    fields = re.search(r"typedef struct packed \{([^}]*)\} kinds_t;", package)
    assert fields is not None
    assert tuple(re.findall(r"logic (\w+);", fields[1])) == kinds.PARTS
    assert kinds.parameter(["additive"]) == 0
    assert kinds.parameter(["adc"]) == 1
    assert kinds.parameter(["mixed"]) == 0b100000
    assert kinds.parameter(kinds.KINDS) == 0b111111


def test_every_kind_of_the_hardware_has_a_name():
    assert {cls.kind for cls in TWINS} <= set(kinds.KINDS) <= {
        *noise_kinds.KINDS, kinds.EXECUTIONS, kinds.ADC
    }  # fmt: skip


def test_samples_of_an_element():
    for name in kinds.KINDS:
        assert kinds.draws(kinds.parameter([name])) == 1 + ("multiplies" in kinds.parts_of([name]))


@pytest.mark.parametrize("kind", ["additive", "multiplicative", "mixed", "fixed-pattern"])
@pytest.mark.parametrize("executions", [1, 4])
def test_what_noise_needs_is_what_its_registers_ask_for(kind, executions):
    noise = Noise.at(kind, 2.0, executions=executions)
    asked = TapSettings.of(noise, 1.0, seed=0).kinds
    assert kinds.parts_of(asked) == kinds.parts_of(kinds.needed(noise))


def test_what_is_missing_is_named():
    kinds.require(["additive", "mixed"], ["multiplicative"])
    with pytest.raises(UserError, match="built for additive and adc alone lack drift and execu"):
        kinds.require(["drift", "executions", "drift", "adc"], ["additive", "adc"])
    with pytest.raises(UserError, match="unknown kind of a tap 'additiv': did you mean addit"):
        kinds.parts_of(["additiv"])

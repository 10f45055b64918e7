"""An accelerator with taps at some accumulators alone, as for a small FPGA."""

import pytest

from flow.compiler.pipeline import compile_network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings

SITE = "fc1.acc"


@pytest.fixture(scope="module")
def tapped_once(network, inputs, built):
    return compile_network(
        network,
        inputs[:200],
        sites=[SITE],
        every_accumulator=False,
        cycles=256,
        root=built / "accelerators",
    )


def test_it_computes_what_the_one_with_every_tap_computes(tapped_once, accelerator, inputs):
    assert list(tapped_once.sites) == [SITE]
    stream = tapped_once.quantise(inputs)
    few, every = tapped_once.golden_model(), accelerator.golden_model()
    assert (few.run(stream) == every.run(stream)).all()
    tap = tapped_once.sites[SITE]
    noise = {SITE: TapSettings.of(Noise.at("mixed", tap.std), tap.scale, seed=1)}
    noisy = few.run(stream, noise)
    assert (noisy == every.run(stream, noise)).all()
    assert (noisy != few.run(stream)).any()

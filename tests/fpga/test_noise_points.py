"""Noise settings under which hardware is compared with golden."""

from types import SimpleNamespace

import pytest

from flow.fpga.noise_points import points
from flow.noise.hardware.kinds import KINDS


@pytest.mark.parametrize(("kinds", "draws"), [(KINDS, 2), (("additive",), 1), (("drift",), 2)])
def test_noise_is_of_a_kind_that_taps_are_built_for(kinds, draws):
    tap = SimpleNamespace(std=2.0, scale=0.5, sigma_bits=16)
    accelerator = SimpleNamespace(manifest={"kinds": kinds}, sites={"fc0.acc": tap, "fc1.acc": tap})
    found = points(accelerator)
    assert list(found) == ["clean", "fc0.acc", "fc1.acc", "every site"]
    assert len(found["every site"]) == 2
    assert len(found["fc0.acc"]["fc0.acc"].draws) == draws

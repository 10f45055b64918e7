"""The whole system, firmware on its core, against the golden model, bit for bit."""

import pytest

from flow.golden import Record
from flow.noise import Noise
from flow.soc import cosim, firmware, system
from flow.tap_settings import TapSettings

IMAGES = 6

pytestmark = pytest.mark.skipif(bool(firmware.missing()), reason=firmware.missing())


@pytest.fixture(scope="module")
def built_system(accelerator, built):
    return system.build(accelerator, built / "soc")


@pytest.fixture(scope="module")
def simulation(built_system, built):
    return system.simulator(built_system, root=built / "sim", optimise=False)


@pytest.fixture(scope="module")
def stream(accelerator, inputs):
    return accelerator.quantise(inputs[:IMAGES])


def settings(accelerator, site, sigma, kind="additive", seed=9, **options):
    noise = Noise.at(kind, sigma, **options)
    return {site: TapSettings.of(noise, accelerator.sites[site].scale, seed, image_base=0)}


def golden_of(accelerator, stream, noise):
    golden = accelerator.golden_model()
    record = Record([golden.scores])
    labels = golden.run(stream, noise, record=record).numpy()
    return labels, record.streams[golden.scores].numpy()


def test_labels_and_logits_equal_golden_clean_noisy_and_repeated(
    accelerator, built_system, simulation, stream, tmp_path
):
    everywhere = {}
    for site in accelerator.sites:
        everywhere |= settings(accelerator, site, 1.0, "mixed", seed=1 << 40)
    points = [
        {},
        everywhere,
        settings(accelerator, "fc1.acc", 2.0, executions=3),
        settings(accelerator, "fc0.act", 2.0, "fixed-pattern"),
        settings(accelerator, "input", 2.0, "drift", gain_rate=-20.0, sigma_rate=50.0),
        {},
    ]
    results, _ = cosim.simulate(built_system, simulation, stream, points, tmp_path)
    for noise, result in zip(points, results, strict=True):
        labels, scores = golden_of(accelerator, stream, noise)
        assert (result.labels == labels).all() and (result.scores == scores).all(), noise
        assert result.runs == IMAGES and 0 < result.device_clocks < result.firmware_clocks
    assert (results[0].scores == results[-1].scores).all()
    assert (results[1].scores != results[0].scores).any()

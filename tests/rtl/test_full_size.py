"""Networks of full size, as trained and folded by default: RTL = golden."""

import numpy as np
import pytest

from flow import data
from flow.compiler.pipeline import compile_network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate
from flow.training import checkpoint
from flow.training.zoo import zoo_path

IMAGES = 3


@pytest.mark.slow
def test_rtl_of_cnv_equals_golden_clean_and_noisy(built, tmp_path):
    path = zoo_path("cnv", "fashion-mnist")
    assert path is not None
    network = checkpoint.load(path, "cnv")[0]
    found = data.load("fashion-mnist", "test", 100)
    inputs = data.to_input(found.images, network.image_shape)
    accelerator = compile_network(network, inputs, root=built / "accelerators")
    sites = accelerator.sites
    assert list(sites) == network.accumulator_sites
    assert len(sites) == 9
    assert not [n for n in accelerator.manifest["nodes"] if n.get("resType", "lut") != "lut"]

    simulation = simulate.build(accelerator, root=built / "sim")
    stream, golden = accelerator.quantise(inputs[:IMAGES]), accelerator.golden_model()

    def noise(kind: str, lsb: float) -> dict[str, TapSettings]:
        return {
            name: TapSettings.of(Noise.at(kind, lsb * site.scale), site.scale, seed=3)
            for name, site in sites.items()
        }

    points = [{}, noise("additive", 8.0), noise("mixed", 1.0)]
    results, _ = simulate.simulate(accelerator, simulation, stream, points, tmp_path)
    for settings, result in zip(points, results, strict=True):
        differing = equivalence.differing_images(golden, stream, settings, result)
        assert not differing.any(), equivalence.first_divergence(golden, stream, settings, result)
    assert np.mean(results[0].labels == found.labels[:IMAGES]) > 0.6
    for site in sites:
        for noisy in results[1:]:
            assert (noisy.digests[site] != results[0].digests[site]).all(), site

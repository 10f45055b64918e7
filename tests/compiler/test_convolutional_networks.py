"""Convolutional networks, scaled down, whole: golden = FINN = Brevitas, and RTL = golden."""

import pytest
import torch

from flow.compiler.pipeline import compile_network
from flow.models import evaluate
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate
from tests.helpers.coded_sites import coded_points
from tests.helpers.convolutional_networks import NETWORKS, Case, Short, compiled, settled


@pytest.fixture(scope="module", params=NETWORKS)
def case(request, built) -> Case:
    return compiled(request.param, built)


def noise_at(*sites: str) -> dict[str, TapSettings]:
    """Both kinds of noise, of the size of an LSB."""
    return {site: TapSettings.of(Noise.at("mixed", 2.0), 1.0, seed=9) for site in sites}


def test_golden_equals_finn_on_every_tensor(case):
    golden = case.accelerator.golden_model()
    stream = case.accelerator.quantise(case.inputs[:2])
    found = equivalence.against_finn(case.accelerator, golden, stream)
    assert found.tensors == len(golden.layers) >= 12
    assert found.differing == []


def test_labels_equal_brevitas(case):
    stream = case.accelerator.quantise(case.inputs)
    labels = evaluate(case.network, case.inputs)
    found = equivalence.against_brevitas(case.accelerator.golden_model(), stream, labels)
    # float32 sums may part at a tie, whose margin is then nothing
    assert all(one["margin"] == 0 for one in found.differing)


def test_batches_do_not_change_golden(case, monkeypatch):
    golden = case.accelerator.golden_model()
    stream = case.accelerator.quantise(case.inputs[:5])
    noise = noise_at(*case.network.sites[2:4])
    whole = golden.run(stream, noise)
    monkeypatch.setattr("flow.golden.model.BATCH", 2)
    assert torch.equal(golden.run(stream, noise), whole)


def test_weights_take_the_bits_they_need(case):
    manifest = case.accelerator.manifest
    units = [node for node in manifest["nodes"] if node["operator"] == "MVAU_rtl"]
    assert {unit["resType"] for unit in units} == {"lut"}
    bits = int(case.network.name.split("-w")[1][0])
    for unit in units:
        memory = case.accelerator.folder / simulate.DATA / f"{unit['name']}_memblock.dat"
        word = memory.read_text().split()[0]
        assert len(word) == -(-unit["PE"] * unit["SIMD"] * bits // 4)


def test_lut_and_dsp_units_give_the_same_streams(built, tmp_path):
    """Labels, scores and the digest at every site, clean and noisy, and those of golden.

    The folding differs too: neither the unit nor the folding changes a bit. Of a short network:
    FINN's unit takes long to compile.
    """
    torch.manual_seed(7)
    network = Short("short", 1, weight_bits=2, act_bits=2)
    inputs = settled(network, (8, 8, 1))
    points = [{}, noise_at(*network.sites)]
    accelerators = {
        mvu: compile_network(
            network,
            inputs[:8],
            sites=network.sites,
            cycles=cycles,
            mvu=mvu,
            root=built / "accelerators",
        )
        for mvu, cycles in (("lut", 200), ("dsp", 100))
    }
    streams = [accelerator.quantise(inputs[:2]) for accelerator in accelerators.values()]
    assert torch.equal(*streams)
    results = []
    for mvu, accelerator in accelerators.items():
        units = [n for n in accelerator.manifest["nodes"] if n["operator"] == "MVAU_rtl"]
        assert [unit["resType"] for unit in units] == [mvu] * 3
        assert max(unit["PE"] * unit["SIMD"] for unit in units) > 3
        assert list(accelerator.sites) == network.sites
        simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
        workdir = tmp_path / accelerator.folder.name
        results += simulate.simulate(accelerator, simulation, streams[0], points, workdir)[:1]
        golden = accelerator.golden_model()
        for noise, result in zip(points, results[-1], strict=True):
            assert not equivalence.differing_images(golden, streams[0], noise, result).any()
    for lut, dsp in zip(*results, strict=True):
        assert (lut.labels == dsp.labels).all() and (lut.scores == dsp.scores).all()
        for site in network.sites:
            assert (lut.digests[site] == dsp.digests[site]).all(), site


def test_rtl_equals_golden_clean_and_noisy_at_every_site(case, built, tmp_path):
    accelerator, golden = case.accelerator, case.accelerator.golden_model()
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    stream = accelerator.quantise(case.inputs[:2])
    sites = list(accelerator.sites)
    assert sites == case.network.sites
    points = coded_points(noise_at(*sites))
    for stall in (False, True):
        some = points if not stall else points[-1:]
        results, _ = simulate.simulate(accelerator, simulation, stream, some, tmp_path, stall=stall)
        for noise, result in zip(some, results, strict=True):
            divergence = equivalence.first_divergence(golden, stream, noise, result)
            assert not equivalence.differing_images(golden, stream, noise, result).any(), divergence
            for site in noise:
                assert (result.digests[site] != results[0].digests[site]).any() or stall, site

"""Networks of a user's own: torch = QONNX, golden = Brevitas, RTL = golden with noise."""

import json

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from flow.compiler.pipeline import compile_network
from flow.experiments import hardware_walk
from flow.golden.model import Record
from flow.models import evaluate, evaluate_levels
from flow.models.qonnx.file import export_qonnx
from flow.models.qonnx.network import ImportedNetwork, open_network
from flow.noise import Noise, TorchSampler
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sampler import HardwareSampler
from flow.rtl import equivalence, simulate
from flow.walks.settings import HardwareWalkSettings
from tests.helpers import custom_networks
from tests.helpers.coded_sites import coded_points

SITES = {
    "per_channel": ["input", "conv0.acc", "conv0.act", "conv1.acc", "conv1.act", "fc0.acc"],
    "residual": [
        *("input", "first.acc", "first.act", "second.acc"),
        *("second.act", "term.act", "sum_act.act", "mean_act.act", "head.acc"),
    ],
    "averaged": [
        *("input", "conv0.acc", "conv0.act", "quant0.act", "conv1.acc", "conv1.act"),
        *("quant1.act", "fc0.acc"),
    ],
    "one_bit": ["input", "conv0.acc", "conv0.act", "fc0.acc"],
    "wide": ["input", "fc0.acc", "fc0.act", "fc1.acc"],
    "whole_bias": ["input", "fc0.acc"],
}
SHAPE = (8, 8, 1)


class Own:
    """One network in every form."""

    def __init__(self, name: str, root, inputs) -> None:
        self.brevitas = getattr(custom_networks, name)()
        self.file = root / f"{name}.onnx"
        export_qonnx(self.brevitas, SHAPE, self.file)
        self.network: ImportedNetwork = open_network(self.file, SHAPE)
        self.inputs, self.root = inputs, root

    def compiled(self):
        return compile_network(
            self.network,
            self.inputs[:200],
            sites=self.network.sites,
            cycles=512,
            root=self.root / "accelerators",
        )


@pytest.fixture(scope="module", params=SITES)
def own(request, built, inputs):
    return Own(request.param, built, inputs)


def test_every_layer_and_quantiser_is_a_site_by_the_name_that_the_user_gave(own):
    expected = SITES[own.network.name]
    assert sorted(own.network.sites) == sorted(expected)
    assert own.network.sites[0] == "input" and own.network.sites[-1] == expected[-1]


def test_torch_gives_what_qonnx_executes_and_what_brevitas_does(own):
    images = own.inputs[:25]
    with torch.no_grad():
        ours, brevitas = own.network(images).numpy(), own.brevitas(images).numpy()
    model = cleanup_model(ModelWrapper(str(own.file)))
    entry, exit = model.graph.input[0].name, model.graph.output[0].name
    theirs = [execute_onnx(model, {entry: image[None].numpy()})[exit][0] for image in images]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours, brevitas, rtol=1e-5, atol=1e-5)


def test_levels_are_evaluated_as_one_by_one(own):
    site = own.network.accumulator_sites[0]
    noises = [Noise.at("additive", sigma) for sigma in (0.0, 1.0)]
    images = own.inputs[:60]
    rows = evaluate_levels(own.network, images, site, noises, TorchSampler(3))
    for row, noise in zip(rows, noises, strict=True):
        alone = evaluate(own.network, images, noise={site: noise}, sampler=TorchSampler(3))
        assert (row == alone).all()


def test_golden_is_brevitas_and_every_node_is_finns(own):
    accelerator = own.compiled()
    golden, stream = accelerator.golden_model(), accelerator.quantise(own.inputs[:300])
    labels = equivalence.against_brevitas(golden, stream, evaluate(own.network, own.inputs[:300]))
    # a value on a threshold may round either way, and so may scores that tie as whole numbers
    assert sum(one["margin"] != 0 for one in labels.differing) <= 1
    assert len(labels.differing) <= 6
    assert not equivalence.against_finn(accelerator, golden, stream[:1]).differing
    for name, site in accelerator.sites.items():
        tap = own.network.tap(name)
        if tap.in_lsb:
            assert site.scale == pytest.approx(1.0, rel=1e-5)


@pytest.mark.slow
def test_rtl_is_golden_with_noise_at_every_site(own, tmp_path):
    accelerator = own.compiled()
    golden, stream = accelerator.golden_model(), accelerator.quantise(own.inputs[:4])
    noises = {}
    for site, tap in accelerator.sites.items():
        # 3 LSB, or 200,000 where values are wide
        noise = Noise.at("additive", 2e5 if tap.in_bits > 17 else 3.0)
        noises[site] = TapSettings.of(noise, 1.0, seed=5, sigma_bits=tap.sigma_bits)
    points = coded_points(noises)
    simulation = simulate.build(accelerator, root=own.root / "sim", optimise=False)
    results, _ = simulate.simulate(accelerator, simulation, stream, points, tmp_path)
    for settings, result in zip(points, results, strict=True):
        assert not equivalence.differing_images(golden, stream, settings, result).any(), settings


@pytest.mark.parametrize("own", ["wide"], indirect=True)
def test_the_largest_noise_leaves_no_score_at_the_rail(own):
    accelerator = own.compiled()
    golden, stream = accelerator.golden_model(), accelerator.quantise(own.inputs[:300])
    assert accelerator.sites["fc1.acc"].in_bits > 17
    record = Record([golden.scores])
    settings = TapSettings(enable=True, sigma_add=0xFFFF_FFFF)
    golden.run(stream, {"fc1.acc": settings}, record=record)
    assert 1 << 29 < record.streams[golden.scores].abs().max() < (1 << 31) - 1


@pytest.mark.parametrize("own", ["per_channel"], indirect=True)
def test_noise_of_one_lsb_is_the_scale_of_each_channel_in_real_units(own):
    accelerator = own.compiled()
    site = "conv0.acc"
    tap = own.network.tap(site)
    step = own.network.graph.layer_of(site)
    scale = own.network.graph.weights[step.output].scale * own.network.graph.grids["_symbolic"].step
    assert len(set(scale.tolist())) == 4
    clean = torch.zeros(500, 4, 8, 8)
    tap.set(site, Noise.at("additive", 1.0), HardwareSampler(accelerator.sites, 9))
    deviations = tap(clean).std(dim=(0, 2, 3))
    tap.clear()
    torch.testing.assert_close(deviations, scale, rtol=0.02, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("own", ["per_channel"], indirect=True)
def test_the_job_gets_to_a_report_that_tells_the_unit(own, results_folder, tmp_path):
    settings = HardwareWalkSettings(
        model=str(own.file), dataset="digits", images=200, draws=1, hw_images=8, cycles=512,
        budget=0, build=results_folder(tmp_path), sites="conv0.acc,fc0.acc",
    )  # fmt: skip
    summary = hardware_walk.walk_hw(settings, lambda *_: None)
    assert summary.model == "per_channel"
    assert summary.rtl.bit_mismatches == 0 and summary.verdict != "disagree"
    assert summary["conv0.acc"].unit == "lsb"
    assert summary["fc0.acc"].unit == "real" and summary.unit == "real or lsb"
    folder = tmp_path / "walk-hw" / "per_channel-digits"
    assert "LSB" in (folder / "report.html").read_text()
    assert json.loads((folder / "summary.json").read_text())["unit"] == "real or lsb"

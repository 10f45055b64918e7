"""A float network, quantised after its training by onnxruntime, in software, golden and RTL."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

from flow import data
from flow.compiler.pipeline import compile_network
from flow.models import evaluate
from flow.models.qonnx.network import open_network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate


class Calibration(CalibrationDataReader):
    """Images one by one."""

    def __init__(self, name, images):
        self.images = iter([{name: image[None]} for image in images])

    def get_next(self):
        return next(self.images, None)


class Residual(nn.Module):
    """A convolution whose values are added to what it reads."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.conv(x))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A float network of the digits, as a file; images; labels."""
    digits = data.load("digits")
    x = torch.from_numpy(digits.images.reshape(-1, 1, 8, 8) / 255).float()
    y = torch.from_numpy(digits.labels).long()
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), Residual(6), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(54, 24), nn.ReLU(), nn.Linear(24, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for batch in torch.randperm(len(x)).repeat(8).split(128):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
        optimiser.step()
    path = tmp_path_factory.mktemp("static") / "float.onnx"
    torch.onnx.export(network.eval(), x[:1], path, dynamo=False, opset_version=13)
    return path, x, y


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript")
@pytest.mark.parametrize(
    ("form", "activations", "weights", "options"),
    [
        (QuantFormat.QDQ, QuantType.QUInt8, QuantType.QInt8, {}),
        (QuantFormat.QDQ, QuantType.QInt8, QuantType.QInt8, {"ActivationSymmetric": True}),
        # weights with a zero point
        (QuantFormat.QOperator, QuantType.QUInt8, QuantType.QUInt8, {"WeightSymmetric": False}),
    ],
)
def test_labels_are_those_of_onnxruntime(
    form, activations, weights, options, trained, built, tmp_path
):
    source, x, y = trained
    path = tmp_path / "static.onnx"
    name = onnx.load(source).graph.input[0].name
    quantize_static(
        source, path, Calibration(name, x[:100].numpy()), quant_format=form,
        activation_type=activations, weight_type=weights, per_channel=not options,
        extra_options=options,
    )  # fmt: skip
    network = open_network(path)
    labels = evaluate(network, x[:400])
    session = onnxruntime.InferenceSession(path)
    theirs = np.array([session.run(None, {name: one[None].numpy()})[0].argmax() for one in x[:400]])
    assert (theirs == y[:400].numpy()).mean() > 0.9
    # float32 rounds sums in another order
    assert (labels == theirs).mean() > 0.99
    accelerator = compile_network(network, x[:100], cycles=1024, root=built / "accelerators")
    golden, stream = accelerator.golden_model(), accelerator.quantise(x)
    assert not equivalence.against_brevitas(golden, stream[:400], labels).differing
    assert not equivalence.against_finn(accelerator, golden, stream[:2]).differing
    if options:
        return
    # accumulators of 8 bits times 8 bits are wide, and so is the noise that their taps hold
    noise = Noise.at("additive", 100_000.0)
    points = [{}] + [
        {site: TapSettings.of(noise, 1.0, seed=5, sigma_bits=tap.sigma_bits)}
        for site, tap in accelerator.sites.items()
    ]
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    results, _ = simulate.simulate(accelerator, simulation, stream[:4], points, tmp_path / "run")
    for settings, result in zip(points, results, strict=True):
        assert not equivalence.differing_images(golden, stream[:4], settings, result).any()

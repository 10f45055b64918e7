"""Offsets of quantised values, as LSQ+ learns them, are exact behind layers that do not pad."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flow.compiler.graph.compatibility import check_nodes
from flow.models.qonnx.network import open_network
from tests.helpers import source_execution
from tests.helpers.arithmetic_networks import Quantiser, exported
from tests.helpers.random_graphs import CUSTOM, Builder
from tests.models.qonnx.test_found_graphs import operators, saved
from tests.models.qonnx.test_functions import network as between_layers


def lsq_plus(step: float, offset: float, low: int, high: int) -> Quantiser:
    return lambda x: torch.round(((x - offset) / step).clamp(low, high)) * step + offset


def weights(w: Tensor) -> Tensor:
    step = w.abs().max() / 7
    return torch.round((w / step).clamp(-7, 7)) * step


class Offsets(nn.Module):
    """A network whose quantised values are pooled, added, read in several places and averaged."""

    def __init__(self, activation: Quantiser, padding: int) -> None:
        super().__init__()
        self.activation, self.padding = activation, padding
        self.conv0, self.norm0 = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.conv1, self.conv2 = nn.Conv2d(4, 6, 2), nn.Conv2d(6, 6, 1)
        self.dense = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        q = self.activation
        x = lsq_plus(1 / 15, 0.021, 0, 15)(x)
        x = F.max_pool2d(q(self.norm0(F.conv2d(x, weights(self.conv0.weight)))), 2)
        x = q(F.conv2d(x, weights(self.conv1.weight), self.conv1.bias, padding=self.padding))
        x = q(x + q(F.conv2d(x, weights(self.conv2.weight), self.conv2.bias)))
        x = F.avg_pool2d(x, 2).flatten(1)
        return F.linear(x, weights(self.dense.weight).repeat(1, x.shape[1] // 6), self.dense.bias)


def opened(activation, padding, folder):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(4)
        module = Offsets(activation, padding).train()
        for _ in range(10):
            module(torch.rand(64, 1, 8, 8))
        images = torch.rand(300, 1, 8, 8)
        # as a trained network, it finds every class somewhere
        module.dense.bias -= module.eval()(images).mean(0)
    network = open_network(exported(module, folder / "net.onnx"))
    with torch.no_grad():
        theirs, ours = module(images), network(images)
    # also where it does not fit the hardware
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    # the largest scores of an image may be equal
    clear = theirs.topk(2).values.diff().abs().flatten() > 1e-5
    assert (theirs.argmax(1) == ours.argmax(1))[clear].all() and clear.sum() > 290
    assert len(theirs.argmax(1).unique()) > 1
    return [f"{one.problem}: {one.change}" for one in check_nodes(network.graph) if one.problem]


@pytest.mark.parametrize(
    ("activation", "padding"),
    [
        (lsq_plus(0.13, -0.31, 0, 15), 0),
        (lsq_plus(0.2, 0.07, -8, 7), 0),
        # no whole bits: thresholds
        (lsq_plus(0.2, -0.31, 0, 10), 0),
        (lambda x: 2 * torch.round(x.clamp(0, 1) * 7) / 7 - 1, 0),
        # two steps
        (lsq_plus(0.13, -0.26, 0, 15), 1),
        (lsq_plus(0.2, -0.6, 0, 10), 1),
    ],
)
def test_offsets_are_exact(activation, padding, tmp_path):
    assert not opened(activation, padding, tmp_path)


def test_an_offset_around_which_a_layer_puts_zeros_is_told(tmp_path):
    (problem,) = opened(lsq_plus(0.13, -0.31, 0, 15), 1, tmp_path)
    assert problem.startswith("reads quantised values whose offset is no multiple of their step")
    assert problem.endswith(
        "make the offset a multiple of the step (a whole zero point), or do not pad"
    )


def fractional_zero_point(builder: Builder) -> None:
    builder.stream = builder.quant(builder.stream, 0.05, 5, signed=0, zero=11.3)


def thresholds(builder: Builder) -> None:
    rows = builder.constant(np.linspace(-1, 1, 6)[None])
    builder.apply(
        "MultiThreshold", rows, domain=CUSTOM, out_dtype="FLOAT32", out_scale=0.2, out_bias=-0.53
    )


@pytest.mark.parametrize("activation", [fractional_zero_point, thresholds])
def test_a_fractional_zero_point_moves_behind_a_dense_layer(activation, tmp_path):
    path = saved(between_layers(activation), tmp_path)
    assert operators(path)[-2:] == ["MatMul", "Add"]
    read = open_network(path)
    assert not any(one.problem for one in check_nodes(read.graph))
    for x in np.random.default_rng(1).uniform(-4, 4, (100, 1, 6)).astype(np.float32):
        theirs = source_execution.run_source(path, x)
        np.testing.assert_allclose(source_execution.run_ours(read, x), theirs, atol=1e-5)

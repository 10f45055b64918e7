"""An accelerator of one layer with a tap, the smallest that has everything."""

import brevitas.nn as qnn
import pytest
import torch
from torch import nn

from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.models import Network
from flow.models.qonnx.file import export_qonnx
from flow.models.qonnx.network import open_network

SHAPE = (8, 8, 1)


@pytest.fixture(scope="session")
def open_one_layer(inputs, session_folder) -> Network:
    """64 inputs and 3 classes."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Flatten(),
        qnn.QuantIdentity(bit_width=2),
        qnn.QuantLinear(64, 3, bias=False, weight_bit_width=2),
    )
    with torch.no_grad():
        network(inputs[:64])
    file = session_folder / "one-layer.onnx"
    export_qonnx(network.eval(), SHAPE, file)
    return open_network(file, SHAPE)


@pytest.fixture(scope="session")
def one_layer(open_one_layer, inputs, built) -> Accelerator:
    """Its accelerator, folded as for an FPGA: a tap with one Philox core."""
    return compile_network(
        open_one_layer, inputs[:200], cycles=192, kinds=["mixed"], root=built / "accelerators"
    )

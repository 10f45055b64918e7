"""Networks of others at full size, whose batch norms have seen images: `file.py:factory`."""

import torch
from torch import nn

from flow.models.qonnx import brevitas_networks


def mobilenet_v1() -> nn.Module:
    """Brevitas' MobileNet-v1 of 4 bits for 224×224 pixels, with random weights.

    As Brevitas makes it, its values shrink from layer to layer until none changes.
    """
    return _settled("quant_mobilenet_v1_4b")


def proxylessnas_mobile14() -> nn.Module:
    """Brevitas' ProxylessNAS of 4 bits for 224×224 pixels, likewise."""
    return _settled("quant_proxylessnas_mobile14_4b")


def _settled(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = brevitas_networks.build(name).train()
    with torch.no_grad():
        for _ in range(12):
            network(torch.rand(4, 3, 224, 224) * 2 - 1)
    return network.eval()

"""Taps in networks in memory."""

import warnings
from pathlib import Path

from torch import nn

from flow.models import Network
from flow.models.qonnx.network import open_network
from flow.models.traced import TracedNetwork

Shape = tuple[int, int, int]
"""(H, W, C) of images."""


def tap(
    model: nn.Module | str | Path, *, name: str | None = None, image_shape: Shape | None = None
) -> Network:
    """Return a network with a tap behind every operation that noise may disturb.

    Args:
        model: any torch module, float or of Brevitas, which is not changed and shares its
            parameters with the network; or the path of a QONNX file.
        name: name of the network in results; the class or the file's name by default.
        image_shape: (H, W, C) of the images, for a QONNX network that takes them flat.

    Raises:
        UserError: the module cannot be traced, with the line in its code; it has no operation that
            noise can disturb; or the file holds no supported network.
    """
    if isinstance(model, Network):
        return model
    if not isinstance(model, nn.Module):
        network: Network = open_network(Path(model), image_shape)
        network.name = name or network.name
        return network
    traced = TracedNetwork(model, name)
    for path, reason in traced.skipped:
        warnings.warn(f"{traced.name}: no noise at {path}: {reason}", stacklevel=2)
    return traced

"""Weights that may be programmed with an error: room for them, their scale, and their memories."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.infer_datatypes import InferDataTypes
from torch import Tensor

from flow.errors import Defect, UserError
from flow.models import Network
from flow.models.network import QuantWeightBiasInputOutputLayer
from flow.noise import WeightGrid, WeightTap
from flow.noise.hardware.weights import WeightSite
from flow.noise.site import Site

if TYPE_CHECKING:
    from flow.compiler.accelerator import Accelerator

SPECIALISED = "specialised.onnx"
"""FINN's graph as it was built, whose nodes know how their memories are laid out."""


def grids(network: Network, sites: Iterable[str]) -> dict[str, WeightGrid]:
    """Return the grid of the weights at each site."""
    taps = {site: network.tap(site) for site in sites}
    return {site: tap.grid for site, tap in taps.items() if isinstance(tap, WeightTap)}


def accumulator(site: str) -> str:
    """Return the site of the accumulator behind weights."""
    return Site(site).accumulator


class HoldWeights(Transformation):
    """Make memories and accumulators wide enough for any weight of the layer's range.

    FINN's ``runtime_writeable_weights`` says so; else widths go by the weights that are there.

    Args:
        edges: by site, the stream behind each unit.
        weights: by site of weights that may have noise, their range.
    """

    def __init__(self, edges: Mapping[str, str], weights: Mapping[str, WeightGrid]) -> None:
        super().__init__()
        self.edges = edges
        self.weights = weights

    def apply(self, model: ModelWrapper):
        """Apply to the whole graph at once."""
        for site, grid in self.weights.items():
            unit = getCustomOp(model.find_producer(self.edges[accumulator(site)]))
            unit.set_nodeattr("runtime_writeable_weights", 1)
            # one bit as INT2, with which FINN's execution multiplies
            unit.set_nodeattr("weightDataType", f"INT{grid.high.bit_length() + 1}")
            unit.minimize_accumulator_width(model)
        return model.transform(InferDataTypes()), False


class StoreBits(Transformation):
    """Let units of LUTs store weights of −1 and 1 as bits; see `HoldWeights`.

    Args:
        weights: by site, those that may have noise; the graph has taps.
    """

    def __init__(self, weights: Mapping[str, WeightSite]) -> None:
        super().__init__()
        self.weights = weights

    def apply(self, model: ModelWrapper):
        """Apply to the whole graph at once."""
        for name, site in self.weights.items():
            unit = getCustomOp(unit_of(model, name))
            if site.step == 2 and unit.get_nodeattr("resType") == "lut":
                unit.set_nodeattr("weightDataType", "BIPOLAR")
        return model, False


def find_weights(
    network: Network,
    model: ModelWrapper,
    edges: Mapping[str, str],
    weights: Mapping[str, WeightGrid],
    numbers: Mapping[str, int],
) -> dict[str, WeightSite]:
    """Find scale and order of the weights at each site, and prove them on every weight.

    Args:
        network: the trained network.
        model: the hardware layers compiled from it.
        edges: by site, the stream behind each unit.
        weights: by site of weights, their range.
        numbers: by ``.acc`` site, its number.

    Raises:
        UserError: a layer's weights have several scales, which one σ cannot serve.
        Defect: the compiled graph has other weights than the network.
    """
    found = {}
    for site, grid in weights.items():
        layer = network.get_submodule(network.entry(site))
        if not isinstance(layer, QuantWeightBiasInputOutputLayer):
            raise Defect(f"site {site} is of no quantised layer")
        quantised = layer.quant_weight()
        if quantised.scale.numel() != 1:
            raise UserError(f"site {site}: quantise its weights per tensor, they have many scales")
        real = quantised.value.detach().double().numpy()
        node = model.find_producer(edges[accumulator(site)])
        matrix = model.get_initializer(node.input[1]).astype(np.float64)
        channels, sign = _order(site, np.round(real / grid.scale), matrix)
        ours = grid.scale * sign * matrix
        error = np.abs(ours - _matrix(real, channels)).max() / np.abs(real).max()
        if error >= 1e-5:
            raise Defect(f"site {site}: the compiled weights are off by {error:.2g}")
        found[site] = WeightSite(
            name=site,
            number=numbers[accumulator(site)],
            scale=grid.scale,
            scale_error=float(error),
            low=grid.low,
            high=grid.high,
            step=grid.step,
            shape=matrix.shape,
            channels=channels,
            negated=tuple(int(c) for c in np.flatnonzero(sign < 0)),
            node=node.name,
        )
    return found


def _order(site: str, whole: npt.NDArray, matrix: npt.NDArray) -> tuple[int, npt.NDArray]:
    """Return the channels by which FINN ordered a layer's inputs, and each column's sign.

    A convolution's are its input's; a dense layer behind one may read pixels channels last.
    """
    inputs = whole[0].size
    fitting = [whole.shape[1]] if whole.ndim == 4 else range(inputs, 0, -1)
    for channels in (n for n in fitting if inputs % n == 0):
        ours = _matrix(whole, channels)
        same = (ours == matrix).all(0)
        if (same | (ours == -matrix).all(0)).all():
            return channels, np.where(same, 1, -1)
    raise Defect(f"site {site}: the compiled graph has other weights than the network")


def _matrix(weights: npt.NDArray, channels: int) -> npt.NDArray:
    """Return weights [MH, C, …] or [MH, C · P] as FINN's matrix [P · C, MH], channels fastest."""
    outputs = len(weights)
    return weights.reshape(outputs, channels, -1).transpose(2, 1, 0).reshape(-1, outputs)


def unit_of(model: ModelWrapper, site: str):
    """Return the matrix-vector unit of the weights at a site, of a graph with taps."""
    taps = (n for n in model.graph.node if n.op_type.startswith("NoiseTap"))
    name = accumulator(site)
    node = next(n for n in taps if getCustomOp(n).get_nodeattr("SiteName") == name)
    while not node.op_type.startswith("MVAU"):
        # converters of widths and FIFOs may lie between
        node = model.find_producer(node.input[0])
    return node


def clean_weights(model: ModelWrapper, site: WeightSite) -> Tensor:
    """Return the weights of a site, whole numbers [MW, MH], from the graph as it was built."""
    return torch.tensor(model.get_initializer(model.get_node_from_name(site.node).input[1]))


def specialised(accelerator: "Accelerator") -> ModelWrapper:
    """Return FINN's graph as it was built."""
    from flow.compiler.finn import register_operators

    register_operators()
    return ModelWrapper(str(accelerator.folder / SPECIALISED))


def write_memories(
    model: ModelWrapper, sites: Mapping[str, WeightSite], weights: Mapping[str, Tensor], data: Path
) -> None:
    """Write weights to the files that the RTL's memories read at start, as the compilation does.

    Args:
        model: from `specialised`.
        sites: by name.
        weights: by site, whole numbers [MW, MH].
        data: folder of memory files; those of these sites are replaced.
    """
    for name, matrix in weights.items():
        site = sites[name]
        unit = getCustomOp(model.get_node_from_name(site.node))
        path = data / f"{site.node}_memblock.dat"
        path.unlink(missing_ok=True)
        unit.make_weight_file(matrix.numpy(), "decoupled_verilog_dat", str(path))


def copy_of(data: Path, folder: Path) -> Path:
    """Make a folder of links to memory files, some of which may then be replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in data.iterdir():
        (folder / path.name).symlink_to(path.resolve())
    return folder

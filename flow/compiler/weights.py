"""Weights that may be programmed with errors: their widths, their scale, and their memories."""

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
from flow.golden import units
from flow.models import Network, SiteValues
from flow.models.network import QuantWeightBiasInputOutputLayer
from flow.models.tiles import TiledLayer
from flow.noise import WeightGrid, WeightTap
from flow.noise.hardware.weights import WeightSite
from flow.noise.site import Site

if TYPE_CHECKING:
    from flow.compiler.accelerator import Accelerator

SPECIALISED = "specialised.onnx"
"""Name of FINN's specialised graph, whose nodes determine the layout of their memories."""


def grids(network: Network, sites: Iterable[str]) -> dict[str, WeightGrid]:
    """Return the grid of the weights at each weight site."""
    taps = {site: network.tap(site) for site in sites}
    return {site: tap.grid for site, tap in taps.items() if isinstance(tap, WeightTap)}


class HoldWeights(Transformation):
    """Make memories and accumulators wide enough for any weight of the layer's range.

    FINN's ``runtime_writeable_weights`` requests this; without it, widths follow the actual
    weights.

    Args:
        edges: output stream of each unit, by site.
        weights: range of the weights that may have noise, by site.
    """

    def __init__(self, edges: Mapping[str, str], weights: Mapping[str, WeightGrid]) -> None:
        super().__init__()
        self.edges = edges
        self.weights = weights

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for site, grid in self.weights.items():
            unit = getCustomOp(model.find_producer(self.edges[Site(site).accumulator(self.edges)]))
            unit.set_nodeattr("runtime_writeable_weights", 1)
            # one bit is INT2, so that FINN's execution multiplies
            unit.set_nodeattr("weightDataType", f"INT{grid.high.bit_length() + 1}")
            unit.minimize_accumulator_width(model)
        return model.transform(InferDataTypes()), False


class StoreBits(Transformation):
    """Make LUT units store weights of −1 and 1 as bits, after `HoldWeights`.

    Args:
        weights: weights that may have noise, by site, in a graph with taps.
    """

    def __init__(self, weights: Mapping[str, WeightSite]) -> None:
        super().__init__()
        self.weights = weights

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
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
    values: Mapping[str, SiteValues],
) -> dict[str, WeightSite]:
    """Find the scale and order of the weights at each site, and verify them on every weight.

    Args:
        network: the trained network.
        model: the graph of hardware layers compiled from it.
        edges: output stream of each unit, by site.
        weights: range of the weights, by site.
        numbers: number of each accumulator site.
        values: what the network's values are at each site.

    Raises:
        UserError: a layer's weights have several scales, which need more than one σ.
        Defect: the compiled graph has other weights than the network.
    """
    found = {}
    for site, grid in weights.items():
        layer = network.get_submodule(network.entry(site))
        layer = layer.layer if isinstance(layer, TiledLayer) else layer
        if not isinstance(layer, QuantWeightBiasInputOutputLayer):
            raise Defect(f"site {site} is of no quantised layer")
        quantised = layer.quant_weight()
        if quantised.scale.numel() != 1:
            raise UserError(f"site {site}: quantise its weights per tensor, they have many scales")
        real = quantised.value.detach().double().numpy()
        accumulator = Site(site).accumulator(edges)
        node = model.find_producer(edges[accumulator])
        compiled = units.matrix(model.get_initializer(node.input[1])).astype(np.float64)
        if compiled.size != real.size:
            raise UserError(
                f"site {site}: its grouped convolution is compiled as one of all channels, whose "
                "weights have no noise in hardware: leave the site out"
            )
        channels, sign = _order(site, np.round(real / grid.scale), compiled)
        ours = grid.scale * sign * compiled
        error = np.abs(ours - _matrix(real, channels)).max() / np.abs(real).max()
        if error >= 1e-5:
            raise Defect(f"site {site}: the compiled weights are off by {error:.2g}")
        found[site] = WeightSite(
            name=site,
            number=numbers[accumulator],
            scale=grid.scale,
            scale_error=float(error),
            low=grid.low,
            high=grid.high,
            step=grid.step,
            shape=compiled.shape,
            channels=channels,
            negated=tuple(int(c) for c in np.flatnonzero(sign < 0)),
            node=node.name,
            std=values[site].std,
            range=values[site].range,
        )
    return found


def _order(site: str, whole: npt.NDArray, matrix: npt.NDArray) -> tuple[int, npt.NDArray]:
    """Return the number of channels in FINN's order of a layer's inputs, and each column's sign.

    For a convolution these are its input channels; a dense layer after one may read channels last.
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
    """Return weights [MH, C, …] or [MH, C · P] as FINN's [P · C, MH], channels fastest."""
    outputs = len(weights)
    return weights.reshape(outputs, channels, -1).transpose(2, 1, 0).reshape(-1, outputs)


def unit_of(model: ModelWrapper, site: str):
    """Return the unit of the weights at a site, in a graph with taps."""
    taps = {
        getCustomOp(node).get_nodeattr("SiteName"): node
        for node in model.graph.node
        if node.op_type.startswith("NoiseTap")
    }
    node = taps[Site(site).accumulator(taps)]
    while not units.is_unit(node):
        # width converters and FIFOs may lie between tap and unit
        node = model.find_producer(node.input[0])
    return node


def clean_weights(model: ModelWrapper, site: WeightSite) -> Tensor:
    """Return the weights of a site, whole numbers [MW, MH], from the specialised graph."""
    weights = model.get_initializer(model.get_node_from_name(site.node).input[1])
    return torch.tensor(units.matrix(weights))


def specialised(accelerator: "Accelerator") -> ModelWrapper:
    """Return FINN's specialised graph of an accelerator."""
    from flow.compiler.finn import register_operators

    register_operators()
    return ModelWrapper(str(accelerator.folder / SPECIALISED))


def write_memories(
    model: ModelWrapper, sites: Mapping[str, WeightSite], weights: Mapping[str, Tensor], data: Path
) -> None:
    """Write weights to the files that the RTL's memories read at the start, as compilation does.

    Args:
        model: the graph from `specialised`.
        sites: weight sites by name.
        weights: weights by site, whole numbers [MW, MH].
        data: folder of memory files, in which those of these sites are replaced.
    """
    for name, values in weights.items():
        site = sites[name]
        unit = getCustomOp(model.get_node_from_name(site.node))
        path = data / f"{site.node}_memblock.dat"
        path.unlink(missing_ok=True)
        unit.make_weight_file(values.numpy(), "decoupled_verilog_dat", str(path))


def copy_of(data: Path, folder: Path) -> Path:
    """Make a folder of links to memory files, of which some may then be replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in data.iterdir():
        (folder / path.name).symlink_to(path.resolve())
    return folder

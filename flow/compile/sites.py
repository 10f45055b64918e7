"""Find a network's sites on the edges of its graph of hardware layers."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.models import Network

Fingerprint = npt.NDArray[np.int64]
"""[3, outputs]: what a turned sign and another order of inputs leave of a layer's weights."""


def fingerprints(network: Network) -> dict[str, Fingerprint]:
    """Return the fingerprint of each layer's weights, by the layer's name, as ``conv0``."""
    found = {}
    for site in network.accumulator_sites:
        layer = site.removesuffix(".acc")
        (linear,) = (
            module
            for module in network.get_submodule(layer).modules()
            if isinstance(module, QuantWeightBiasInputOutputLayer)
        )
        quantised = linear.quant_weight()
        weights = (quantised.value / quantised.scale).detach().round().numpy()
        found[layer] = _fingerprint(weights.reshape(len(weights), -1).T)
    return found


def find_sites(
    model: ModelWrapper, sites: list[str], layers: Mapping[str, Fingerprint]
) -> dict[str, str]:
    """Return the graph's tensor at each site.

    FINN orders branches as it likes, so a matrix-vector unit is known by its weights. The
    activations of a layer are behind its thresholds, and behind the pooling that follows;
    thresholds behind anything else, an addition or a sum, serve those ``.act`` sites that have no
    ``.acc``, in their order.

    Args:
        model: hardware layers, with taps or without; of a tapped site, the tensor into its tap.
        sites: of the network, in the order of the data.
        layers: from `fingerprints`.

    Raises:
        AssertionError: a unit has the weights of no layer, thresholds are of no site, or a site has
            no place in the graph.
    """
    found = {"input": model.graph.input[0].name}
    unplaced = dict(layers)
    others = iter(s for s in sites if s.endswith(".act") and s.removesuffix(".act") not in layers)
    by_edge: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type == "MVAU":
            weights = _fingerprint(model.get_initializer(node.input[1]))
            layer = next((n for n, w in unplaced.items() if np.array_equal(w, weights)), None)
            assert layer is not None, f"node {node.name} has the weights of no layer"
            del unplaced[layer]
            found[f"{layer}.acc"] = node.output[0]
            by_edge[node.output[0]] = f"{layer}.act"
        elif node.op_type == "NoiseTap" and node.input[0] in by_edge:
            by_edge[node.output[0]] = by_edge[node.input[0]]
        elif node.op_type == "Thresholding":
            site = by_edge.get(node.input[0]) or next(others, None)
            assert site is not None, f"node {node.name} has the thresholds of no site"
            found[site] = _behind_pooling(model, node.output[0])
    missing = [site for site in sites if site not in found]
    assert not missing, f"no place in the graph for {', '.join(missing)}"
    return {site: found[site] for site in sites}


def _fingerprint(weights: npt.NDArray) -> Fingerprint:
    """Return |Σw|, Σ|w| and Σw² of each column of a weight matrix [inputs, outputs]."""
    whole = weights.astype(np.int64)
    return np.stack([np.abs(whole.sum(0)), np.abs(whole).sum(0), (whole**2).sum(0)])


def _behind_pooling(model: ModelWrapper, edge: str) -> str:
    """Return the edge behind a max pooling that reads ``edge``, or ``edge`` where none does."""
    generator = model.find_consumer(edge)
    if generator is None or generator.op_type != "ConvolutionInputGenerator":
        return edge
    pool = model.find_consumer(generator.output[0])
    largest = pool.op_type == "Pool" and getCustomOp(pool).get_nodeattr("Function") == "MaxPool"
    return pool.output[0] if largest else edge

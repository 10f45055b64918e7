"""Find a network's sites on the edges of its graph of hardware layers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.errors import Defect
from flow.models import Network, trace
from flow.noise.site import Site

Fingerprint = npt.NDArray[np.int64]
"""[3, outputs]: what a turned sign and another order of inputs leave of a layer's weights."""


@dataclass(frozen=True)
class Lineage:
    """What a stream is computed from."""

    layers: frozenset[str] = frozenset()
    """Every layer in front of it."""
    quantisers: int = 0
    """The most quantisers on a way to it, that of the images apart."""

    @classmethod
    def joined(cls, streams: Iterable["Lineage"]) -> "Lineage":
        """Return the ancestry of what is computed from streams."""
        known = list(streams)
        layers = frozenset().union(*(one.layers for one in known))
        return cls(layers, max((one.quantisers for one in known), default=0))

    def behind_layer(self, layer: str) -> "Lineage":
        """Return the ancestry of a layer's accumulators."""
        return Lineage(self.layers | {layer}, self.quantisers)

    def quantised(self) -> "Lineage":
        """Return the ancestry of a quantised stream."""
        return Lineage(self.layers, self.quantisers + 1)


@dataclass(frozen=True)
class SiteFingerprints:
    """By what a network's sites are known in another graph of it."""

    sites: Sequence[str]
    """In the order of the data."""
    weights: dict[str, Fingerprint]
    """By layer, as ``conv0``."""
    ancestries: dict[str, Lineage]
    """By ``.act`` site."""

    @classmethod
    def of(cls, network: Network) -> "SiteFingerprints":
        """Return the marks of a network."""
        weights = {}
        for site in network.accumulator_sites:
            layer = Site(site).layer
            matrix = network.integer_weights(layer)
            weights[layer] = _fingerprint(matrix.reshape(len(matrix), -1).T)
        return cls(network.sites, weights, _ancestries(network))


def _ancestries(network: Network) -> dict[str, Lineage]:
    by_path = {network.entry(site): site for site in network.sites}
    known: dict[object, Lineage] = {}
    found: dict[str, Lineage] = {}
    for node in trace(network).nodes:
        here = Lineage.joined(known[one] for one in node.all_input_nodes)
        site = by_path.get(str(node.target), "") if node.op == "call_module" else ""
        if Site(site).is_accumulator:
            here = here.behind_layer(Site(site).layer)
        elif Site(site).is_activation:
            here = found[site] = here.quantised()
        known[node] = here
    return found


def find_sites(model: ModelWrapper, marks: SiteFingerprints) -> dict[str, str]:
    """Return the graph's tensor at each site.

    FINN orders branches as it likes, so a matrix-vector unit is known by its weights, and
    thresholds by the layers in front of them and by how many thresholds lie there; where two have
    the same, by their order. Activations are behind the pooling that follows their thresholds.

    Args:
        model: hardware layers, with taps or without; of a tapped site, the tensor into its tap.
        marks: of the network.

    Raises:
        Defect: a unit has the weights of no layer, thresholds are of no site, or a site has
            no place in the graph.
    """
    found = {"input": model.graph.input[0].name}
    layers, activations = dict(marks.weights), dict(marks.ancestries)
    known: dict[str, Lineage] = {}
    for node in model.graph.node:
        here = Lineage.joined(known[name] for name in node.input if name in known)
        if node.op_type == "MVAU":
            weights = _fingerprint(model.get_initializer(node.input[1]))
            layer = next((n for n, w in layers.items() if np.array_equal(w, weights)), None)
            if layer is None:
                raise Defect(f"node {node.name} has the weights of no layer")
            del layers[layer]
            found[Site.of(layer, "acc")] = node.output[0]
            here = here.behind_layer(layer)
        elif node.op_type == "Thresholding":
            here = here.quantised()
            site = next((n for n, one in activations.items() if one == here), None)
            if site is None:
                raise Defect(f"node {node.name} has the thresholds of no site")
            del activations[site]
            found[site] = _behind_pooling(model, node.output[0])
        known |= dict.fromkeys(node.output, here)
    missing = [site for site in marks.sites if site not in found]
    if missing:
        raise Defect(f"no place in the graph for {', '.join(missing)}")
    return {site: found[site] for site in marks.sites}


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

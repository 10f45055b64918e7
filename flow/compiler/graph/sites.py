"""Location of a network's sites on the edges of its graph of hardware layers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.errors import Defect
from flow.golden.units import is_unit, matrix
from flow.models import Network, trace
from flow.noise.site import Site

Fingerprint = npt.NDArray[np.int64]
"""[3, outputs]: properties of weights that do not depend on sign or on the inputs' order."""


@dataclass(frozen=True)
class Lineage:
    """Layers and quantisers that a stream is computed from."""

    layers: frozenset[str] = frozenset()
    """All layers upstream of the stream."""
    quantisers: int = 0
    """Largest number of quantisers on a path to it, without that of the images."""
    readers: frozenset[str] = frozenset()
    """All layers downstream of the stream, of a quantiser's."""

    @classmethod
    def joined(cls, streams: Iterable["Lineage"]) -> "Lineage":
        """Return the lineage of the result of several streams."""
        known = list(streams)
        layers = frozenset().union(*(one.layers for one in known))
        return cls(layers, max((one.quantisers for one in known), default=0))

    def after_layer(self, layer: str) -> "Lineage":
        """Return the lineage of a layer's accumulators."""
        return Lineage(self.layers | {layer}, self.quantisers)

    def quantised(self) -> "Lineage":
        """Return the lineage of the stream after a quantiser."""
        return Lineage(self.layers, self.quantisers + 1)


@dataclass(frozen=True)
class SiteFingerprints:
    """Properties that identify a network's sites in another graph of it."""

    sites: Sequence[str]
    """Sites in the order of the data flow."""
    weights: dict[str, Fingerprint]
    """Fingerprint of each layer's weights, by layer, such as ``conv0``."""
    ancestries: dict[str, Lineage]
    """Lineage of each ``.act`` site."""

    @classmethod
    def of(cls, network: Network) -> "SiteFingerprints":
        """Return the fingerprints of a network's sites."""
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
    nodes = list(trace(network).nodes)
    readers: dict[object, frozenset[str]] = {}
    for node in reversed(nodes):
        readers[node] = frozenset().union(
            *(readers[user] | _layer_at(by_path, user) for user in node.users)
        )
    for node in nodes:
        here = Lineage.joined(known[one] for one in node.all_input_nodes)
        site = by_path.get(str(node.target), "") if node.op == "call_module" else ""
        if Site(site).is_accumulator:
            here = here.after_layer(Site(site).layer)
        elif Site(site).is_activation:
            here = here.quantised()
            found[site] = replace(here, readers=readers[node])
        known[node] = here
    return found


def _layer_at(by_path: Mapping[str, str], node) -> frozenset[str]:
    """Return the layer whose accumulators a node of a traced network passes on, or none."""
    site = by_path.get(str(node.target), "") if node.op == "call_module" else ""
    return frozenset([Site(site).layer] if Site(site).is_accumulator else [])


def find_sites(model: ModelWrapper, marks: SiteFingerprints) -> dict[str, str]:
    """Return the graph's tensor at each site.

    FINN may reorder branches, so a unit is identified by its weights, and thresholds by the layers
    upstream and downstream of them and by the number of thresholds among the former; ties are
    broken by order. Activations are located after the pooling that follows their thresholds.

    Args:
        model: graph of hardware layers, with or without taps; the tensor at a tapped site is the
            tap's input.
        marks: fingerprints of the network's sites.

    Raises:
        Defect: a unit matches no layer, thresholds match no site, or a site is not found.
    """
    found = {"input": model.graph.input[0].name}
    activations = dict(marks.ancestries)
    layers = _layers(model, marks.weights)
    readers: dict[str, frozenset[str]] = {}
    for node in reversed(model.graph.node):
        below = frozenset().union(*(readers.get(name, frozenset()) for name in node.output))
        if node.name in layers:
            below |= {layers[node.name]}
        for name in node.input:
            readers[name] = readers.get(name, frozenset()) | below
    known: dict[str, Lineage] = {}
    for node in model.graph.node:
        here = Lineage.joined(known[name] for name in node.input if name in known)
        if node.name in layers:
            layer = layers[node.name]
            found[Site.of(layer, "acc").accumulator(marks.sites)] = node.output[0]
            here = here.after_layer(layer)
        elif node.op_type == "Thresholding":
            here = here.quantised()
            own = replace(here, readers=readers.get(node.output[0], frozenset()))
            site = next((n for n, one in activations.items() if one == own), None)
            if site is None:
                raise Defect(f"node {node.name} has the thresholds of no site")
            del activations[site]
            found[site] = _after_pooling(model, node.output[0])
        known |= dict.fromkeys(node.output, here)
    missing = [site for site in marks.sites if site not in found]
    if missing:
        raise Defect(f"no place in the graph for {', '.join(missing)}")
    return {site: found[site] for site in marks.sites}


def _layers(model: ModelWrapper, weights: Mapping[str, Fingerprint]) -> dict[str, str]:
    """Return the layer of each unit, by the unit's name."""
    left, found = dict(weights), {}
    for node in filter(is_unit, model.graph.node):
        own = _fingerprint(matrix(model.get_initializer(node.input[1])))
        layer = next((name for name, one in left.items() if np.array_equal(one, own)), None)
        if layer is None:
            raise Defect(f"node {node.name} has the weights of no layer")
        del left[layer]
        found[node.name] = layer
    return found


def _fingerprint(weights: npt.NDArray) -> Fingerprint:
    """Return |Σw|, Σ|w| and Σw² of each column of a weight matrix [inputs, outputs]."""
    whole = weights.astype(np.int64)
    return np.stack([np.abs(whole.sum(0)), np.abs(whole).sum(0), (whole**2).sum(0)])


def _after_pooling(model: ModelWrapper, edge: str) -> str:
    """Return the output of a max pooling that consumes ``edge``, or ``edge`` without one."""
    generator = model.find_consumer(edge)
    if generator is not None and generator.op_type == "FMPadding":
        generator = model.find_consumer(generator.output[0])
    if generator is None or generator.op_type != "ConvolutionInputGenerator":
        return edge
    pool = model.find_consumer(generator.output[0])
    largest = pool.op_type == "Pool" and getCustomOp(pool).get_nodeattr("Function") == "MaxPool"
    return pool.output[0] if largest else edge

"""Location of a network's sites on the edges of its graph of hardware layers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from torch.fx import Node

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
        last = next(node for node in trace(network).nodes if node.op == "output")
        nodes = _operands_first(last, lambda node: node.all_input_nodes)
        paths = {network.entry(site): Site(site) for site in network.sites}
        sites = {node: paths.get(str(node.target)) for node in nodes if node.op == "call_module"}
        layers = {node: site.layer for node, site in sites.items() if site and site.is_accumulator}
        weights = {}
        for layer in layers.values():
            matrix = network.integer_weights(layer)
            weights[layer] = _fingerprint(matrix.reshape(len(matrix), -1).T)
        activations = {node: site for node, site in sites.items() if site and site.is_activation}
        return cls(network.sites, weights, _ancestries(nodes, layers, activations))


def _ancestries(
    nodes: Sequence[Node], layers: Mapping[Node, str], activations: Mapping[Node, Site]
) -> dict[str, Lineage]:
    """Return the lineage of each activation site, of nodes behind their operands."""
    readers: dict[Node, frozenset[str]] = {}
    for node in reversed(nodes):
        behind = [user for user in node.users if user in readers]
        own = {layers[user] for user in behind if user in layers}
        readers[node] = frozenset(own).union(*(readers[user] for user in behind))
    known: dict[Node, Lineage] = {}
    found = {}
    for node in nodes:
        here = Lineage.joined(known[one] for one in node.all_input_nodes)
        if node in layers:
            here = here.after_layer(layers[node])
        elif node in activations:
            here = here.quantised()
            found[str(activations[node])] = replace(here, readers=readers[node])
        known[node] = here
    return found


def find_sites(model: ModelWrapper, marks: SiteFingerprints) -> dict[str, str]:
    """Return the graph's tensor at each site.

    FINN may reorder branches, so a unit is identified by its weights, and thresholds by the layers
    upstream and downstream of them and by the number of thresholds among the former. Ties are
    broken by the order of operands at the joins downstream. Activations are located after the
    pooling that follows their thresholds.

    Args:
        model: graph of hardware layers, with or without taps; the tensor at a tapped site is the
            tap's input.
        marks: fingerprints of the network's sites.

    Raises:
        Defect: a unit matches no layer, thresholds match no site, or a site is not found.
    """
    found = {"input": model.graph.input[0].name}
    activations = dict(marks.ancestries)
    makers = {name: node for node in model.graph.node for name in node.output}
    nodes = _operands_first(
        makers[model.graph.output[0].name],
        lambda node: [makers[name] for name in node.input if name in makers],
    )
    layers = _layers(model, nodes, marks.weights)
    readers: dict[str, frozenset[str]] = {}
    for node in reversed(nodes):
        below = frozenset().union(*(readers.get(name, frozenset()) for name in node.output))
        if node.name in layers:
            below |= {layers[node.name]}
        for name in node.input:
            readers[name] = readers.get(name, frozenset()) | below
    known: dict[str, Lineage] = {}
    for node in nodes:
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


def _operands_first(last: Any, operands: Callable[[Any], Iterable[Any]]) -> list[Any]:
    """Return a node and all upstream of it, each behind its operands, the first operand first.

    Two graphs that differ in the order of their nodes alone give the same order.
    """
    found: dict[int, Any] = {}
    waiting = [(last, False)]
    while waiting:
        node, done = waiting.pop()
        if done:
            found.setdefault(id(node), node)
        elif id(node) not in found:
            waiting.append((node, True))
            waiting += [(one, False) for one in reversed([*operands(node)])]
    return [*found.values()]


def _layers(
    model: ModelWrapper, nodes: Iterable[Any], weights: Mapping[str, Fingerprint]
) -> dict[str, str]:
    """Return the layer of each unit, by the unit's name."""
    left, found = dict(weights), {}
    for node in filter(is_unit, nodes):
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

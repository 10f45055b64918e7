"""Mapping of the RTL's nodes to golden layers and to places in the network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flow.compiler.accelerator import Accelerator
from flow.compiler.folding.cost import kind
from flow.golden.layers import Layer, Tap
from flow.golden.model import GoldenModel
from flow.golden.units import UNITS

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Step:
    """A node of either graph, RTL or golden."""

    name: str
    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    site: str
    """Site of a tap; empty for other nodes."""


def matching_nodes(accelerator: Accelerator, golden: GoldenModel) -> dict[str, dict[str, Any]]:
    """Return the manifest's entry of the node that computes each golden layer, by layer name.

    Folding inserts nodes, reorders branches and renames everything but the sites. A node is
    therefore identified by its kind, the taps upstream and downstream of it, and its position among
    such nodes.

    Raises:
        RuntimeError: the RTL has no such node.
    """
    entries = {entry["name"]: entry for entry in accelerator.manifest["nodes"]}
    sites = {site.node: name for name, site in accelerator.sites.items()}
    layers = _identities(
        _Step(
            layer.name,
            layer.name.rpartition("_")[0],
            layer.inputs,
            [layer.output],
            layer.site if isinstance(layer, Tap) else "",
        )
        for layer in golden.layers
    )
    nodes = _identities(
        _Step(name, kind(entry), entry["inputs"], entry["outputs"], sites.get(name, ""))
        for name, entry in entries.items()
    )
    unknown = [name for identity, name in layers.items() if identity not in nodes]
    if unknown:
        raise RuntimeError(f"no node of the RTL is known to compute {', '.join(unknown)}")
    return {name: entries[nodes[identity]] for identity, name in layers.items()}


def _identities(nodes: Iterable[_Step]) -> dict[tuple, str]:
    """Return node names by identity, for nodes in topological order."""
    steps = list(nodes)
    # the sites upstream and downstream of each stream
    passed: dict[str, frozenset[str]] = {}
    ahead: dict[str, frozenset[str]] = {}
    reached: dict[str, frozenset[str]] = {}
    for step in steps:
        sites = _NOTHING.union({step.site}, *(passed.get(name, _NOTHING) for name in step.inputs))
        passed |= dict.fromkeys(step.outputs, sites)
    for step in reversed(steps):
        reached[step.name] = _NOTHING.union(*(ahead.get(name, _NOTHING) for name in step.outputs))
        for name in step.inputs:
            ahead[name] = ahead.get(name, _NOTHING).union(reached[step.name], {step.site})
    names: dict[tuple, str] = {}
    for step in steps:
        known = (step.kind, passed[step.outputs[0]], reached[step.name])
        names[*known, sum(other[:-1] == known for other in names)] = step.name
    return names


def place(layers: Sequence[Layer], layer: Layer) -> str:
    """Describe the place of a layer in the network, by the sites nearest to it.

    Args:
        layers: layers of the golden model.
        layer: one of these layers.
    """
    if isinstance(layer, Tap):
        return f"the tap at {layer.site}"
    if layer.name.startswith(UNITS):
        taps = [one.site for one in layers if isinstance(one, Tap) and layer.output in one.inputs]
        if taps:
            unit = "matrix-vector" if layer.name.startswith("MVAU") else "depth-wise"
            return f"the {unit} unit of {taps[0]}"
    giving = {one.output: one for one in layers}
    streams, sites = list(layer.inputs), list[str]()
    while streams:
        source = giving.get(streams.pop(0))
        if isinstance(source, Tap):
            sites.append(source.site)
        elif source is not None:
            streams += source.inputs
    return f"behind {' and '.join(dict.fromkeys(sites))}" if sites else "the input"

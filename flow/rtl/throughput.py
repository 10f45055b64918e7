"""Cycles per image of a design that executes layers several times, computed from the folding.

This is a calculation, not a simulation: the simulated tap repeats only itself. To execute a layer
k times, a design runs its unit, its sliding-window generator and its tap k times for
each image; the slowest node determines the rate.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flow.compiler.accelerator import Accelerator
from flow.golden.reader import WIRES
from flow.golden.units import UNITS

_WIRES = tuple(name for name in WIRES if name != "DuplicateStreams")


def cycles_per_image(accelerator: Accelerator, executions: Mapping[str, int]) -> int:
    """Return the cycles from one image to the next.

    Args:
        accelerator: the folded network.
        executions: by site, the number of executions of the layer that feeds it; 1 by default.

    Raises:
        KeyError: a site has no tap.
    """
    nodes = accelerator.manifest["nodes"]
    times = dict.fromkeys((node["name"] for node in nodes), 1)
    for site, count in executions.items():
        for name in executed_nodes(nodes, accelerator.sites[site].node):
            times[name] = max(times[name], count)
    return max(node["cycles"] * times[node["name"]] for node in nodes)


def executed_nodes(nodes: Sequence[Mapping[str, Any]], tap: str) -> list[str]:
    """Return the nodes that run again when the layer of a tap is executed again.

    Args:
        nodes: nodes of an accelerator's manifest.
        tap: name of the tap's node.
    """
    found = [tap]
    wanted: list[tuple[str, ...]] = [UNITS, ("ConvolutionInputGenerator",)]
    for node in _upstream(nodes, tap):
        kind = node["operator"].removesuffix("_rtl")
        if kind in _WIRES:
            continue
        if not wanted or kind not in wanted.pop(0):
            break
        found.append(node["name"])
    return found


def _upstream(nodes: Sequence[Mapping[str, Any]], start: str) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes upstream of a node, following the first input of each."""
    named = {node["name"]: node for node in nodes}
    producers = {stream: node for node in nodes for stream in node["outputs"]}
    node = producers.get(named[start]["inputs"][0])
    while node is not None:
        yield node
        node = producers.get(node["inputs"][0])

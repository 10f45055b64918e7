"""Diagram of the network in hardware: its nodes in a chain, with sites coloured by what they bear.

This module computes the layout; ``templates/network.svg.j2`` draws it. Width converters are
omitted, since they compute nothing. A node follows its producer in a row until the row is full or
the layer ends; forks and joins begin a new row. Colours are those of cividis, which suits
colour-blind people too, on a logarithmic scale; each is labelled with its figure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flow.golden.units import UNITS
from flow.noise.site import JOINT
from flow.report.plots.colours import colour_of
from flow.walks.crosscheck.summary_values import midpoint_of, midpoint_text
from flow.walks.points.side import Side

_WORDS = {
    "MVAU": "matrix × vector",
    "VVAU": "depth-wise",
    "ConvolutionInputGenerator": "sliding window",
    "FMPadding": "padding",
    "NoiseTap": "noise tap",
    "TileAccumulator": "sum of tiles",
    "Thresholding": "thresholds",
    "Pool": "pool",
    "LabelSelect": "label select",
    "DuplicateStreams": "fork",
    "AddStreams": "add",
    "MultiplyStreams": "multiply",
    "StreamingConcat": "concatenate",
    "StreamingFIFO": "FIFO",
    "UpsampleNearestNeighbour": "enlarge",
}
_NO_WORK = "StreamingDataWidthConverter"
_BEGIN_LAYER = ("ConvolutionInputGenerator", "FMPadding", *UNITS)
_SIDES = (Side.SOFTWARE, Side.GOLDEN)
_ROW, _WIDTH, _GAP, _GUTTER, _LINE, _LANE = 6, 150, 22, 30, 17, 12
"""Boxes per row; width of a box, of the gap after it, of the gutter below a row; height of a line;
distance between detours."""


@dataclass(frozen=True)
class Strip:
    """Label with the μ of one side at one site."""

    text: str
    fill: str
    """Fill colour; empty without a μ."""
    ink: str


@dataclass
class Box:
    """Box of a node of the hardware."""

    name: str
    title: str
    lines: list[str]
    sites: list[tuple[str, list[Strip]]]
    """Name and strips of each site in it."""
    sources: list[str]
    """Names of its producers."""
    x: float = 0.0
    y: float = 0.0
    width: float = _WIDTH
    height: float = 0.0


@dataclass(frozen=True)
class Picture:
    """Content of the diagram, in units of the view box."""

    boxes: list[Box]
    edges: list[tuple[str, bool]]
    """Path of each connection, and whether it is a detour around other rows."""
    width: float
    height: float
    ends: tuple[str, str] | None
    """Smallest and largest value that a colour shows, as text; None if there is none."""
    measure: str
    """What the colours show, in words."""
    colours: list[str] = field(default_factory=lambda: [colour_of(i / 8) for i in range(9)])
    """Colours of the scale from the smallest to the largest μ."""


def operator(node: Mapping[str, Any]) -> str:
    """Return a node's operator in plain words."""
    name = node["operator"].removesuffix("_rtl")
    return _WORDS.get(name, name)


def picture(summary: Mapping[str, Any]) -> Picture | None:
    """Return the diagram of the network, or None if the summary has no ``hardware``."""
    hardware = summary["hardware"]
    if hardware is None:
        return None
    scale = _Scale(summary["sites"])
    places: dict[str, list[str]] = {}
    for site in (*hardware["taps"], *hardware["weights"]):
        places.setdefault(site["node"], []).append(site["name"])
    boxes = [
        _box(node, sources, [(site, scale.strips(site)) for site in places.get(node["name"], [])])
        for node, sources in _working(hardware["nodes"])
    ]
    rows = _rows(boxes)
    return _placed(boxes, rows, scale)


class _Scale:
    """Colours for the noise that the sites of a walk tolerate.

    A site's μ is compared as a share of the standard deviation of its values; μ itself is compared
    if a site lacks that, as in results of old versions.
    """

    def __init__(self, sites: Mapping[str, Any]) -> None:
        sites = {name: entry for name, entry in sites.items() if name not in JOINT}
        self.sites = sites
        self.relative = all(entry.get("noise_share") for entry in sites.values())
        found = [self._level(name, side) for name in sites for side in _SIDES]
        levels = [level for level in found if level]
        self.low, self.high = (min(levels), max(levels)) if levels else (1.0, 1.0)
        self.ends = (f"{self.low:.3g}", f"{self.high:.3g}") if levels else None

    @property
    def measure(self) -> str:
        """What the colours show, in words."""
        if self.relative:
            return "the noise at their midpoint, divided by the standard deviation of their values"
        return "their midpoint noise level μ"

    def strips(self, site: str) -> list[Strip]:
        """Return the labels of a site, or a remark if it was not walked."""
        if site not in self.sites:
            return [Strip("no noise applied here", "", "")]
        return [self._strip(site, side) for side in _SIDES]

    def _level(self, site: str, side: Side) -> float | None:
        """Return the label of a site on one side: how much noise it tolerates."""
        entry = self.sites[site]
        mu = midpoint_of(entry, side)
        share = entry["noise_share"] if self.relative else 1.0
        return mu.level * share if mu is not None else None

    def _strip(self, site: str, side: Side) -> Strip:
        level = self._level(site, side)
        text = f"{side} {midpoint_text(midpoint_of(self.sites[site], side)).split(' [')[0]}"
        if not level:
            return Strip(text, "", "")
        reach = math.log(self.high / self.low)
        fill = colour_of(math.log(level / self.low) / reach if reach else 0.5)
        return Strip(text, fill, "#000000" if _luminance(fill) > 0.18 else "#ffffff")


def _luminance(colour: str) -> float:
    """Return the relative luminance, 0 to 1 (WCAG 2); on 0.18, black and white contrast equally."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _working(nodes: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Return the nodes that compute, each with the names of its producers."""
    writers = {stream: node for node in nodes for stream in node["outputs"]}
    found = []
    for node in nodes:
        if node["operator"].startswith(_NO_WORK):
            continue
        sources = []
        for stream in node["inputs"]:
            writer = writers.get(stream)
            while writer is not None and writer["operator"].startswith(_NO_WORK):
                writer = writers.get(writer["inputs"][0])
            if writer is not None:
                sources.append(writer["name"])
        found.append((node, sources))
    return found


def _box(node: Mapping[str, Any], sources: list[str], sites: list[tuple[str, list[Strip]]]) -> Box:
    folding = [f"{key} {node[key]}" for key in ("PE", "SIMD", "depth") if node.get(key)]
    lines = [
        " · ".join(folding) or "–",
        f"{node['cycles']:,} cycles",
        f"{node['input_type']} → {node['output_type']}",
    ]
    title = f"{node['name']}: {operator(node)}, {', '.join(lines)}"
    if node.get("weight_type"):
        title += f", weights {node['weight_type']}, in {node['resType']}"
    box = Box(node["name"], title, [operator(node), *lines], sites, sources)
    told = len(box.lines) + sum(1 + len(strips) for _, strips in sites)
    box.height = _LINE * told + 12
    return box


def _rows(boxes: Sequence[Box]) -> list[list[Box]]:
    consumers: dict[str, int] = {}
    for box in boxes:
        for source in box.sources:
            consumers[source] = consumers.get(source, 0) + 1
    rows: list[list[Box]] = []
    ends: dict[str, list[Box]] = {}
    for box in boxes:
        row = ends.pop(box.sources[0], None) if len(box.sources) == 1 else None
        follows = (
            row is not None
            and len(row) < _ROW
            and consumers[box.sources[0]] == 1
            and not (_begins(box) and any(b.name.startswith(UNITS) for b in row))
        )
        if row is None or not follows:
            row = []
            rows.append(row)
        row.append(box)
        ends[box.name] = row
    return rows


def _begins(box: Box) -> bool:
    return box.name.startswith(_BEGIN_LAYER)


def _placed(boxes: list[Box], rows: list[list[Box]], scale: _Scale) -> Picture:
    """Place the boxes and connect them."""
    number = {box.name: i for i, row in enumerate(rows) for box in row}
    by_name = {box.name: box for box in boxes}
    wires = [(by_name[source], box) for box in boxes for source in box.sources]
    detours = [w for w in wires if number[w[1].name] - number[w[0].name] > 1]
    left, y = 8 + _LANE * (len(detours) + 1), 4.0
    for row in rows:
        for i, box in enumerate(row):
            box.x, box.y = left + i * (_WIDTH + _GAP), y
        y += max(box.height for box in row) + _GUTTER
    edges = []
    for start, end in wires:
        if number[start.name] == number[end.name]:
            edges.append((f"M{start.x + _WIDTH} {start.y + 24}H{end.x}", False))
            continue
        row = rows[number[start.name]]
        # x where the wire leaves the row, beside other such wires
        below = row[0].y + max(box.height for box in row)
        a, b = start.x + _WIDTH / 2, end.x + _WIDTH / 2 - 20
        path = f"M{a} {start.y + start.height}V{below + 10}"
        if (start, end) in detours:
            lane = left - _LANE * (1 + detours.index((start, end)))
            path += f"H{lane}V{end.y - 10}"
            b += 40
        edges.append((f"{path}H{b}V{end.y}", (start, end) in detours))
    right = max(box.x + _WIDTH for box in boxes)
    return Picture(boxes, edges, right + 4, y - _GUTTER + 4, scale.ends, scale.measure)

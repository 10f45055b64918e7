"""A picture of the network as it became hardware: a chain of nodes, sites coloured by μ.

Layout only; ``templates/network.svg.j2`` draws it. Width converters are left out, as they compute
nothing. A node follows the one it reads in a row, until the row is full or a layer is; where the
data fork or join, a row begins. Colours are those of cividis, made for readers who are colour-blind
as for others, on a logarithmic scale; every one has its figure written on it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flow.report.plots.colours import colour_of
from flow.walks.crosscheck.summary_values import midpoint_of, midpoint_text
from flow.walks.points.side import Side

_WORDS = {
    "MVAU": "matrix × vector",
    "ConvolutionInputGenerator": "sliding window",
    "FMPadding": "padding",
    "NoiseTap": "noise tap",
    "Thresholding": "thresholds",
    "Pool": "pool",
    "LabelSelect": "label select",
    "DuplicateStreams": "fork",
    "AddStreams": "add",
    "StreamingFIFO": "FIFO",
}
_NO_WORK = "StreamingDataWidthConverter"
_BEGIN_LAYER = ("ConvolutionInputGenerator", "FMPadding", "MVAU")
_SIDES = (Side.SOFTWARE, Side.GOLDEN)
_ROW, _WIDTH, _GAP, _GUTTER, _LINE, _LANE = 6, 150, 22, 30, 17, 12
"""Boxes a row; width of a box and the gap behind it; below a row; of a line; between detours."""


@dataclass(frozen=True)
class Strip:
    """The μ of one side at one site."""

    text: str
    fill: str
    """Colour; empty where there is no μ."""
    ink: str


@dataclass
class Box:
    """A node of the hardware."""

    name: str
    title: str
    lines: list[str]
    sites: list[tuple[str, list[Strip]]]
    """Name and strips of each site in it."""
    sources: list[str]
    """Names of the nodes it reads."""
    x: float = 0.0
    y: float = 0.0
    width: float = _WIDTH
    height: float = 0.0


@dataclass(frozen=True)
class Picture:
    """What the template draws, in units of the view box."""

    boxes: list[Box]
    edges: list[tuple[str, bool]]
    """Path of each connection, and whether it is a detour around other rows."""
    width: float
    height: float
    ends: tuple[str, str] | None
    """The smallest and the largest μ, as text; None without any."""
    colours: list[str] = field(default_factory=lambda: [colour_of(i / 8) for i in range(9)])
    """Of the scale from the smallest to the largest μ."""


def operator(node: Mapping[str, Any]) -> str:
    """Return a node's operator in plain words."""
    name = node["operator"].removesuffix("_rtl")
    return _WORDS.get(name, name)


def picture(summary: Mapping[str, Any]) -> Picture | None:
    """Lay the network out; None if the summary has no ``hardware``."""
    if "hardware" not in summary:
        return None
    hardware = summary["hardware"]
    scale = _Scale(summary["sites"])
    places: dict[str, list[str]] = {}
    for site in (*hardware["taps"], *hardware["weights"]):
        places.setdefault(site["node"], []).append(site["name"])
    boxes = [
        _box(node, sources, [(site, scale.strips(site)) for site in places.get(node["name"], [])])
        for node, sources in _working(hardware["nodes"])
    ]
    rows = _rows(boxes)
    return _placed(boxes, rows, scale.ends)


class _Scale:
    """Colours for the μ of a walk's sites."""

    def __init__(self, sites: Mapping[str, Any]) -> None:
        self.sites = sites
        found = [_level(midpoint_of(entry, s)) for entry in sites.values() for s in _SIDES]
        levels = [level for level in found if level]
        self.low, self.high = (min(levels), max(levels)) if levels else (1.0, 1.0)
        self.ends = (f"{self.low:.3g}", f"{self.high:.3g}") if levels else None

    def strips(self, site: str) -> list[Strip]:
        """Return what is said of a site; of one that was not walked, that."""
        if site not in self.sites:
            return [Strip("no noise put here", "", "")]
        return [self._strip(side, midpoint_of(self.sites[site], side)) for side in _SIDES]

    def _strip(self, side: Side, mu: Any) -> Strip:
        level = _level(mu)
        text = f"{side} {midpoint_text(mu).split(' [')[0]}"
        if not level:
            return Strip(text, "", "")
        reach = math.log(self.high / self.low)
        fill = colour_of(math.log(level / self.low) / reach if reach else 0.5)
        return Strip(text, fill, "#000000" if _luminance(fill) > 0.18 else "#ffffff")


def _level(mu: Any) -> float:
    """Return μ or its bound; 0 for none."""
    if mu is None:
        return 0.0
    return float(mu["level"] if isinstance(mu, Mapping) else mu[0])


def _luminance(colour: str) -> float:
    """Relative luminance, 0 to 1 (WCAG 2); on one of 0.18, black and white have equal contrast."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _working(nodes: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Return the nodes that compute, each with the names of those it reads."""
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
    folding = [f"{key} {node[key]}" for key in ("PE", "SIMD", "depth") if key in node]
    lines = [
        " · ".join(folding) or "–",
        f"{node['cycles']:,} cycles",
        f"{node['input_type']} → {node['output_type']}",
    ]
    title = f"{node['name']}: {operator(node)}, {', '.join(lines)}"
    if "weight_type" in node:
        title += f", weights {node['weight_type']}, in {node['resType']}"
    box = Box(node["name"], title, [operator(node), *lines], sites, sources)
    told = len(box.lines) + sum(1 + len(strips) for _, strips in sites)
    box.height = _LINE * told + 12
    return box


def _rows(boxes: Sequence[Box]) -> list[list[Box]]:
    readers: dict[str, int] = {}
    for box in boxes:
        for source in box.sources:
            readers[source] = readers.get(source, 0) + 1
    rows: list[list[Box]] = []
    ends: dict[str, list[Box]] = {}
    for box in boxes:
        row = ends.pop(box.sources[0], None) if len(box.sources) == 1 else None
        follows = (
            row is not None
            and len(row) < _ROW
            and readers[box.sources[0]] == 1
            and not (_begins(box) and any(b.name.startswith("MVAU") for b in row))
        )
        if row is None or not follows:
            row = []
            rows.append(row)
        row.append(box)
        ends[box.name] = row
    return rows


def _begins(box: Box) -> bool:
    return box.name.startswith(_BEGIN_LAYER)


def _placed(boxes: list[Box], rows: list[list[Box]], ends: tuple[str, str] | None) -> Picture:
    """Give boxes their places, and connect them."""
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
        # where it leaves the row, beside other wires that do
        below = row[0].y + max(box.height for box in row)
        a, b = start.x + _WIDTH / 2, end.x + _WIDTH / 2 - 20
        path = f"M{a} {start.y + start.height}V{below + 10}"
        if (start, end) in detours:
            lane = left - _LANE * (1 + detours.index((start, end)))
            path += f"H{lane}V{end.y - 10}"
            b += 40
        edges.append((f"{path}H{b}V{end.y}", (start, end) in detours))
    right = max(box.x + _WIDTH for box in boxes)
    return Picture(boxes, edges, right + 4, y - _GUTTER + 4, ends)

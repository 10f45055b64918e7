"""The golden model: what the compiled graph computes, bit for bit, in integers, on many images.

It reads weights, thresholds and taps from FINN's nodes, not from the Brevitas network. The graph
may fork and join: layers read and give named streams.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from qonnx.core.modelwrapper import ModelWrapper
from torch import Tensor

from flow.errors import Defect
from flow.golden.layers import ByteConvolution, Convolution, Layer, MatrixVector, Tap, Thresholds
from flow.golden.reader import read_layers
from flow.noise.hardware import fixed_point
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.weights import WeightSite, program
from flow.noise.site import Site
from flow.threads import share

BATCH = 20
"""Images worked on at a time: few enough for the processor's caches."""

Draws = Mapping[str, Mapping[int, Tensor]]
"""Samples already drawn, by site and draw, integers [N, elements]; of weights [1, elements]."""


@dataclass(frozen=True)
class Part:
    """The layers left to run, and what they need: every stream that crosses the cut."""

    layers: Sequence[Layer]
    streams: Mapping[str, Tensor]
    """By name, integers [N, …]."""


@dataclass
class Record:
    """What to keep while images run, and what was kept."""

    names: Collection[str] = ()
    """Streams to keep."""
    sites: Collection[str] = ()
    """Taps whose output is digested."""
    streams: dict[str, Tensor] = field(default_factory=dict)
    """By name, integers [N, C] or [N, H, W, C]."""
    digests: dict[str, Tensor] = field(default_factory=dict)
    """By site, int64 [N] in 0..2^32 − 1."""


class GoldenModel:
    """Runs images through the layers of a compiled graph, or through a part of them.

    Args:
        layers: in an order in which each finds its inputs; the last gives the labels.
        entry: name of the stream of images.
        input_shape: of an image in that stream.
        weights: by site, the weights that may have noise.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        entry: str,
        input_shape: tuple[int, ...],
        weights: Mapping[str, WeightSite] | None = None,
    ) -> None:
        self.layers = layers
        self.entry = entry
        self.input_shape = input_shape
        self.weights = weights or {}

    @classmethod
    def of(
        cls, model: ModelWrapper, weights: Mapping[str, WeightSite] | None = None
    ) -> "GoldenModel":
        """Read FINN's graph of hardware layers, with taps; specialised or not.

        Args:
            model: the graph.
            weights: by site, the weights that may have noise.

        Raises:
            UserError: a matrix product could leave the range in which float32 is exact.
        """
        entry = model.graph.input[0].name
        return cls(read_layers(model), entry, tuple(model.get_tensor_shape(entry)[1:]), weights)

    @property
    def taps(self) -> dict[str, Tap]:
        """The taps by site, in the order of the data."""
        return {layer.site: layer for layer in self.layers if isinstance(layer, Tap)}

    @property
    def scores(self) -> str:
        """The stream into label select."""
        return self.layers[-1].inputs[0]

    def layer_of(self, site: str) -> Layer:
        """Return the layer where noise at a site enters: its tap, or the layer of its weights."""
        if site not in self.weights:
            return self.taps[site]
        stream = self.taps[Site(site).accumulator].inputs[0]
        return next(layer for layer in self.layers if layer.output == stream)

    def before(self, site: str, source: Tensor | Part) -> Part:
        """Run, clean, all that noise at a site cannot reach: what is left is that which it can.

        Args:
            site: of a tap, or of weights.
            source: images, integers [N, elements], or what is left of them at an earlier site.
        """
        source = self._part(source)
        noisy = self.layer_of(site)
        behind = [noisy, *reached_from(noisy.output, source.layers)]
        outputs = {layer.output for layer in behind}
        front = [layer for layer in source.layers if layer.output not in outputs]
        record = Record(crossing(behind))
        _run(Part(front, source.streams), record, {}, {})
        return Part(behind, record.streams)

    def narrowest(self, site: str) -> str:
        """Return the last stream by which all that noise at a site can reach is decided.

        Of a tap that is mostly the stream into it; between a fork and its join that into the fork.

        Args:
            site: of a tap, or of weights.
        """
        noisy = self.layer_of(site)
        for name in reversed([self.entry, *(layer.output for layer in self.layers)]):
            behind = reached_from(name, self.layers)
            if noisy in behind and crossing(behind) == {name}:
                return name
        raise Defect(f"site {site} is not behind the input")

    def clean_stream(self, name: str, images: Tensor) -> Tensor:
        """Return a stream without noise, integers [N, …], and compute no layer behind it.

        Args:
            name: of the stream.
            images: integers [N, elements].
        """
        behind = reached_from(name, self.layers)
        record = Record([name])
        front = [layer for layer in self.layers if layer not in behind]
        _run(Part(front, self._part(images).streams), record, {}, {})
        return record.streams[name]

    def layerwise(self, source: Tensor, given: Mapping[str, Tensor]) -> Part:
        """Let layers read given streams in place of those that the layers before them compute.

        Args:
            source: images, integers [N, elements].
            given: by name, integers [N, …]; what is computed in its place is ``computed(name)``.
        """
        layers = [
            replace(layer, output=computed(layer.output)) if layer.output in given else layer
            for layer in self.layers
        ]
        return Part(layers, {**self._part(source).streams, **given})

    def run(
        self,
        source: Tensor | Part,
        noise: Mapping[str, TapSettings] | None = None,
        *,
        draws: Draws | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """Classify images.

        Args:
            source: images, integers [N, elements], or what ``before`` made of them.
            noise: settings by site, of a tap or of weights; a site that is not named is clean.
            draws: samples already drawn.
            record: takes what it asks for on the way.

        Returns:
            labels, int64 [N].
        """
        source = self._programmed(self._part(source), noise or {}, draws or {})
        if record is None:
            record = Record()
        labels = self.layers[-1].output
        everything = Record({*record.names, labels}, record.sites)
        _run(source, everything, noise or {}, draws or {})
        record.streams = {name: everything.streams[name] for name in record.names}
        record.digests = everything.digests
        return everything.streams[labels][:, 0]

    def _programmed(self, part: Part, noise: Mapping[str, TapSettings], draws: Draws) -> Part:
        """Return a part with the errors in its weights."""
        layers = list(part.layers)
        for site in self.weights.keys() & noise.keys():
            name = self.layer_of(site).name
            for number, layer in enumerate(layers):
                if layer.name == name:
                    if not isinstance(layer, (MatrixVector, Convolution, ByteConvolution)):
                        raise Defect(f"{name} has no weights to program")
                    matrix = program(
                        layer.matrix, self.weights[site], noise[site], draws.get(site, {})
                    )
                    layers[number] = layer.with_matrix(matrix)
        return replace(part, layers=layers)

    def _part(self, source: Tensor | Part) -> Part:
        if isinstance(source, Part):
            return source
        return Part(self.layers, {self.entry: source.view(-1, *self.input_shape).float()})


def reached_from(stream: str, layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers that depend on a stream, in their order."""
    reached, behind = {stream}, []
    for layer in layers:
        if not reached.isdisjoint(layer.inputs):
            reached.add(layer.output)
            behind.append(layer)
    return behind


def crossing(layers: Sequence[Layer]) -> set[str]:
    """Return the streams that layers read, and that none of them gives."""
    given = {layer.output for layer in layers}
    return {name for layer in layers for name in layer.inputs} - given


def computed(stream: str) -> str:
    """Name what was computed in place of a given stream."""
    return f"{stream}, computed"


def _without_idle_taps(
    layers: Sequence[Layer], record: Record, noise: Mapping[str, TapSettings]
) -> list[Layer]:
    """Leave out taps without noise whose stream only thresholds want."""
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    # what takes the place of a layer, by its name
    instead: dict[str, Layer | None] = {}
    for tap in layers:
        if not isinstance(tap, Tap) or tap.output in record.names or tap.site in record.sites:
            continue
        found = [r.without(tap) for r in readers[tap.output] if isinstance(r, Thresholds)]
        noisy = noise.get(tap.site, TapSettings()).enable
        if not noisy and len(found) == len(readers[tap.output]) and all(found):
            instead |= {tap.name: None} | {layer.name: layer for layer in found if layer}
    every = (instead.get(layer.name, layer) for layer in layers)
    return [layer for layer in every if layer is not None]


def _run(part: Part, record: Record, noise: Mapping[str, TapSettings], draws: Draws) -> None:
    """Run layers batch by batch, and fill the record."""
    batches: dict[int, Record] = {}
    # each layer, and the streams that nobody needs behind it: their memory is used again
    plan: list[tuple[Layer, list[str]]] = []
    needed = set(record.names)
    for layer in reversed(_without_idle_taps(part.layers, record, noise)):
        plan.insert(0, (layer, [name for name in {*layer.inputs} if name not in needed]))
        needed.update(layer.inputs)

    def work(rows: slice) -> None:
        seen = batches[rows.start] = Record()
        live = {name: values[rows] for name, values in part.streams.items()}
        for layer, done in plan:
            inputs = [live[name] for name in layer.inputs]
            if isinstance(layer, Tap):
                settings = noise.get(layer.site, TapSettings())
                settings = replace(settings, image_base=settings.image_base + rows.start)
                drawn = {draw: z[rows] for draw, z in draws.get(layer.site, {}).items()}
                live[layer.output] = layer(inputs[0], settings, drawn)
                if layer.site in record.sites:
                    seen.digests[layer.site] = fixed_point.digest(live[layer.output].flatten(1))
            else:
                live[layer.output] = layer(*inputs)
            del inputs
            for name in done:
                del live[name]
        seen.streams = {name: live[name] for name in record.names}

    share(len(next(iter(part.streams.values()))), BATCH, work)
    ordered = [batches[first] for first in sorted(batches)]
    record.streams = {
        name: torch.cat([one.streams[name] for one in ordered]) for name in record.names
    }
    record.digests = {
        site: torch.cat([one.digests[site] for one in ordered]) for site in record.sites
    }

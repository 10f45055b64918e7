"""The golden model: a bit-exact model of the compiled graph in integers, for many images.

Weights, thresholds and taps come from FINN's nodes, not from the Brevitas network. The graph may
fork and join: layers consume and produce named streams.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from qonnx.core.modelwrapper import ModelWrapper
from torch import Tensor

from flow.device import CPU
from flow.errors import Defect
from flow.golden.layers import ByteConvolution, Convolution, Layer, MatrixVector, Tap, Thresholds
from flow.golden.reader import read_layers
from flow.golden.tiles import TileProducts, TileSum, untiled
from flow.noise.hardware import fixed_point
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.weights import WeightSite, program
from flow.noise.site import Site
from flow.threads import share

BATCH = 20
"""Images per batch, few enough to stay in the processor's caches."""
DEVICE_BATCH = 200
"""Images per batch on another device, which needs many values at a time."""

PRODUCTS = (MatrixVector, Convolution, ByteConvolution, TileProducts)
"""Layers with weights."""

Draws = Mapping[str, Mapping[int, Tensor]]
"""Samples drawn before, by site and draw: integers [N, elements], or [1, elements] for weights."""


@dataclass(frozen=True)
class Subgraph:
    """Layers that remain to be run, and every stream that enters them."""

    layers: Sequence[Layer]
    streams: Mapping[str, Tensor]
    """Streams by name, integers [N, …]."""

    def to(self, device: torch.device) -> "Subgraph":
        """Return the subgraph on a device."""
        streams = {name: values.to(device) for name, values in self.streams.items()}
        return Subgraph([layer.to(device) for layer in self.layers], streams)

    def first(self, images: int) -> "Subgraph":
        """Return the subgraph with the streams of the first images."""
        return Subgraph(
            self.layers, {name: values[:images] for name, values in self.streams.items()}
        )


@dataclass
class Record:
    """Streams and digests to record during a run, and the recorded ones."""

    names: Collection[str] = ()
    """Names of the streams to record."""
    sites: Collection[str] = ()
    """Sites of the taps whose output is digested."""
    streams: dict[str, Tensor] = field(default_factory=dict)
    """Recorded streams by name, integers [N, C] or [N, H, W, C]."""
    digests: dict[str, Tensor] = field(default_factory=dict)
    """Digests by site, int64 [N] in 0..2^32 − 1."""


class GoldenModel:
    """Model that runs images through a compiled graph or a subgraph of it.

    Args:
        layers: the layers in topological order; the last produces the labels.
        entry: name of the stream of images.
        input_shape: shape of an image in that stream.
        weights: weights that may have noise, by site.
        device: where the layers are; streams are computed, and recorded, there.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        entry: str,
        input_shape: tuple[int, ...],
        weights: Mapping[str, WeightSite] | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.layers = layers
        self.device = device
        self.entry = entry
        self.input_shape = input_shape
        self.weights = weights or {}

    @classmethod
    def of(
        cls, model: ModelWrapper, weights: Mapping[str, WeightSite] | None = None
    ) -> "GoldenModel":
        """Read FINN's graph of hardware layers with taps, specialised or not.

        Args:
            model: the graph.
            weights: weights that may have noise, by site.

        Raises:
            UserError: a matrix product could exceed the range in which float32 is exact.
        """
        entry = model.graph.input[0].name
        return cls(read_layers(model), entry, tuple(model.get_tensor_shape(entry)[1:]), weights)

    def to(self, device: torch.device) -> "GoldenModel":
        """Return the model on a device, or itself if it is there."""
        if device == self.device:
            return self
        layers = [layer.to(device) for layer in self.layers]
        return GoldenModel(layers, self.entry, self.input_shape, self.weights, device)

    @property
    def taps(self) -> dict[str, Tap]:
        """Taps by site, in the order of the data flow."""
        return {layer.site: layer for layer in self.layers if isinstance(layer, Tap)}

    @property
    def scores(self) -> str:
        """Name of the stream into label select."""
        return self.layers[-1].inputs[0]

    def layer_of(self, site: str) -> Layer:
        """Return the layer where noise at a site enters: its tap, or the layer of its weights."""
        if site not in self.weights:
            return self.taps[site]
        stream = self.taps[Site(site).accumulator(self.taps)].inputs[0]
        return next(layer for layer in self.layers if layer.output == stream)

    def before(self, sites: Sequence[str], source: Tensor | Subgraph) -> Subgraph:
        """Run without noise all layers that noise at sites cannot reach, and return the others.

        Args:
            sites: sites of taps or of weights.
            source: images, integers [N, elements], or the subgraph of sites further upstream.

        Returns:
            The subgraph that noise at the sites reaches, with the streams that enter it.
        """
        source = self._subgraph(source)
        noisy = {self.layer_of(site).output for site in sites}
        reached = set(noisy)
        for layer in source.layers:
            if not reached.isdisjoint(layer.inputs):
                reached.add(layer.output)
        downstream = [layer for layer in source.layers if layer.output in reached]
        outputs = {layer.output for layer in downstream}
        upstream = [layer for layer in source.layers if layer.output not in outputs]
        record = Record(crossing(downstream))
        _run(Subgraph(upstream, source.streams), record, {}, {})
        return Subgraph(downstream, record.streams)

    def narrowest(self, site: str) -> str:
        """Return the last stream that determines everything that noise at a site can reach.

        For a tap this is usually its input; between a fork and its join it is the fork's input.

        Args:
            site: site of a tap or of weights.
        """
        noisy = self.layer_of(site)
        for name in reversed([self.entry, *(layer.output for layer in self.layers)]):
            downstream = reached_from(name, self.layers)
            if noisy in downstream and crossing(downstream) == {name}:
                return name
        raise Defect(f"site {site} is not downstream of the input")

    def clean_stream(self, name: str, images: Tensor) -> Tensor:
        """Return a stream without noise, integers [N, …], without computing layers downstream.

        Args:
            name: name of the stream.
            images: integers [N, elements].
        """
        downstream = reached_from(name, self.layers)
        record = Record([name])
        upstream = [layer for layer in self.layers if layer not in downstream]
        _run(Subgraph(upstream, self._subgraph(images).streams), record, {}, {})
        return record.streams[name]

    def layerwise(self, source: Tensor, given: Mapping[str, Tensor]) -> Subgraph:
        """Return the graph with given streams as inputs, in place of the computed ones.

        Args:
            source: images, integers [N, elements].
            given: streams by name, integers [N, …]; the computed one is ``computed(name)``.
        """
        layers = [
            replace(layer, output=computed(layer.output)) if layer.output in given else layer
            for layer in self.layers
        ]
        return Subgraph(layers, {**self._subgraph(source).streams, **given})

    def run(
        self,
        source: Tensor | Subgraph,
        noise: Mapping[str, TapSettings] | None = None,
        *,
        draws: Draws | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """Classify images.

        Args:
            source: images, integers [N, elements], or a subgraph from `before`.
            noise: settings by site, of a tap or of weights; other sites have no noise.
            draws: samples drawn before.
            record: names streams and digests, which are recorded in it.

        Returns:
            The predicted labels on the processor, int64 [N].
        """
        source = self._programmed(self._subgraph(source), noise or {}, draws or {})
        if record is None:
            record = Record()
        labels = self.layers[-1].output
        everything = Record({*record.names, labels}, record.sites)
        _run(source, everything, noise or {}, draws or {})
        record.streams = {name: everything.streams[name] for name in record.names}
        record.digests = everything.digests
        return everything.streams[labels][:, 0]

    def _programmed(
        self, subgraph: Subgraph, noise: Mapping[str, TapSettings], draws: Draws
    ) -> Subgraph:
        """Return a subgraph whose weights have errors."""
        layers = list(subgraph.layers)
        for site in self.weights.keys() & noise.keys():
            name = self.layer_of(site).name
            for number, layer in enumerate(layers):
                if layer.name == name:
                    if not isinstance(layer, PRODUCTS):
                        raise Defect(f"{name} has no weights to program")
                    matrix = program(
                        layer.matrix, self.weights[site], noise[site], draws.get(site, {})
                    )
                    layers[number] = layer.with_matrix(matrix)
        return replace(subgraph, layers=layers)

    def _subgraph(self, source: Tensor | Subgraph) -> Subgraph:
        if isinstance(source, Subgraph):
            return source
        images = source.to(self.device).view(-1, *self.input_shape).float()
        return Subgraph(self.layers, {self.entry: images})


def reached_from(stream: str, layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers downstream of a stream, in order."""
    reached, downstream = {stream}, []
    for layer in layers:
        if not reached.isdisjoint(layer.inputs):
            reached.add(layer.output)
            downstream.append(layer)
    return downstream


def crossing(layers: Sequence[Layer]) -> set[str]:
    """Return the streams that layers consume and none of them produces."""
    given = {layer.output for layer in layers}
    return {name for layer in layers for name in layer.inputs} - given


def computed(stream: str) -> str:
    """Return the name of the computed stream in place of which another is given."""
    return f"{stream}, computed"


def _is_needed(layer: Layer, record: Record, noise: Mapping[str, TapSettings]) -> bool:
    """Whether a layer is a tap with noise, or one whose output is digested."""
    if not isinstance(layer, Tap):
        return False
    return layer.site in record.sites or not noise.get(layer.site, TapSettings()).idle


def _without_idle_taps(
    layers: Sequence[Layer], record: Record, noise: Mapping[str, TapSettings]
) -> list[Layer]:
    """Remove taps without noise and converter that only thresholds read, or a sum of tiles."""
    consumers: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in layer.inputs:
            consumers.setdefault(name, []).append(layer)
    producers = {layer.output: layer for layer in layers}
    kept = {*record.names, *(tap.output for tap in layers if _is_needed(tap, record, noise))}
    # replacement of each layer by the layer's name; None removes it
    instead: dict[str, Layer | None] = {}
    for tap in layers:
        if not isinstance(tap, Tap) or tap.output in kept:
            continue
        behind = consumers[tap.output]
        total = behind[0]
        if isinstance(total, TileSum):
            products = producers.get(tap.inputs[0])
            if kept.isdisjoint((*tap.inputs, total.output)) and products is not None:
                instead |= untiled(products, tap, total, consumers[total.output])
            continue
        found = [c.without(tap) for c in behind if isinstance(c, Thresholds)]
        if len(found) == len(behind) and all(found):
            instead |= {tap.name: None} | {layer.name: layer for layer in found if layer}
    every = (instead.get(layer.name, layer) for layer in layers)
    return [layer for layer in every if layer is not None]


def _run(
    subgraph: Subgraph, record: Record, noise: Mapping[str, TapSettings], draws: Draws
) -> None:
    """Run layers batch by batch, and fill the record."""
    batches: dict[int, Record] = {}
    # each layer with the streams that are not needed after it, so that their memory is freed
    plan: list[tuple[Layer, list[str]]] = []
    needed = set(record.names)
    for layer in reversed(_without_idle_taps(subgraph.layers, record, noise)):
        plan.insert(0, (layer, [name for name in {*layer.inputs} if name not in needed]))
        needed.update(layer.inputs)

    def work(rows: slice) -> None:
        seen = batches[rows.start] = Record()
        live = {name: values[rows] for name, values in subgraph.streams.items()}
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

    given = next(iter(subgraph.streams.values()))
    share(len(given), BATCH if given.is_cpu else DEVICE_BATCH, work, given.device)
    ordered = [batches[first] for first in sorted(batches)]
    record.streams = {
        name: torch.cat([one.streams[name] for one in ordered]) for name in record.names
    }
    record.digests = {
        site: torch.cat([one.digests[site] for one in ordered]) for site in record.sites
    }

"""The golden model: what the compiled graph computes, bit for bit, in integers, on many images.

It reads weights, thresholds and taps from FINN's nodes, not from the Brevitas network. Values are
integers; those in a matrix product lie in float32, which is exact below 2^24 (checked).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from torch import Tensor

from flow import fixed_point
from flow.fixed_point import TapFormat, TapSettings

EXACT_IN_FLOAT32 = 1 << 24


@dataclass(frozen=True)
class MatrixVector:
    """acc = a · W."""

    name: str
    weights: Tensor
    """float32 [MW, MH], whole numbers."""

    def __call__(self, a: Tensor) -> Tensor:
        """Return the accumulators, int32 [N, MH], of activations, integers [N, MW]."""
        return (a.to(torch.float32) @ self.weights).to(torch.int32)


@dataclass(frozen=True)
class Thresholds:
    """Count the thresholds that are not above the value, from a bias."""

    name: str
    thresholds: Tensor
    """int32 [C, steps], ascending."""
    bias: int

    def __call__(self, v: Tensor) -> Tensor:
        """Return activations, int32 [N, C], of values, int32 or int64 [N, C]."""
        count = torch.full(v.shape, self.bias, dtype=torch.int32)
        for step in self.thresholds.T:
            count += v >= step
        return count


@dataclass(frozen=True)
class LabelSelect:
    """The index of the largest value, the lowest among equals."""

    name: str

    def __call__(self, v: Tensor) -> Tensor:
        """Return labels, int64 [N, 1], of values [N, C]."""
        return v.argmax(1, keepdim=True)


@dataclass(frozen=True)
class Tap:
    """A noise tap."""

    name: str
    site: str
    number: int
    """The site's number in the noise counter."""
    format: TapFormat
    offsets: Tensor
    """o · 2^F, int64 [C]."""

    def __call__(self, v: Tensor, settings: TapSettings, **draws: Tensor) -> Tensor:
        """Return the stream behind the tap, int64 [N, E], of values, integers [N, E]."""
        return fixed_point.apply_tap(
            v.to(torch.int64), self.offsets, self.format, settings, self.number, **draws
        )


Layer = MatrixVector | Thresholds | LabelSelect | Tap


@dataclass
class Record:
    """What went by while images ran; fill only what was asked for."""

    streams: dict[str, Tensor] = field(default_factory=dict)
    """Output of each layer by FINN's node name, integers [N, C]."""
    digests: dict[str, Tensor] = field(default_factory=dict)
    """Digest of each tap's output stream by site, int64 [N] in 0..2^32 − 1."""


class GoldenModel:
    """Runs images through the layers of a compiled graph, or through a part of them.

    Args:
        model: FINN's graph of hardware layers, with taps; specialised or not.

    Raises:
        OverflowError: a matrix product could leave the range in which float32 is exact.
    """

    def __init__(self, model: ModelWrapper) -> None:
        self.layers: list[Layer] = []
        for node in model.graph.node:
            layer = _layer(model, node)
            if layer is not None:
                self.layers.append(layer)

    @property
    def taps(self) -> dict[str, Tap]:
        """The taps by site, in the order of the data."""
        return {layer.site: layer for layer in self.layers if isinstance(layer, Tap)}

    def index(self, site: str) -> int:
        """Return the place of a site's tap among the layers."""
        return self.layers.index(self.taps[site])

    def run(
        self,
        values: Tensor,
        noise: Mapping[str, TapSettings] | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        draws: Mapping[str, Mapping[str, Tensor]] | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """Run layers ``start`` up to ``stop``.

        Args:
            values: integers [N, features], the stream into layer ``start``.
            noise: settings by site; a site that is not named is clean.
            start: first layer to run.
            stop: the layer before which to end; the end of the network when None.
            draws: samples already drawn, by site: keyword arguments of ``apply_tap``.
            record: takes every stream and digest on the way.

        Returns:
            the stream out of the last layer run: labels, int64 [N, 1], at the end of the network.
        """
        noise, draws = noise or {}, draws or {}
        for layer in self.layers[start:stop]:
            if isinstance(layer, Tap):
                site = layer.site
                values = layer(values, noise.get(site, TapSettings()), **draws.get(site, {}))
                if record is not None:
                    record.digests[site] = fixed_point.digest(values)
            else:
                values = layer(values)
            if record is not None:
                record.streams[layer.name] = values
        return values


def _layer(model: ModelWrapper, node) -> Layer | None:
    operator = getCustomOp(node)
    kind = node.op_type.removesuffix("_rtl")
    if kind == "MVAU":
        weights = model.get_initializer(node.input[1])
        datatype = operator.get_input_datatype(0)
        largest = max(abs(datatype.min()), abs(datatype.max()))
        bound = float(np.abs(weights.astype(np.float64)).sum(axis=0).max()) * float(largest)
        if bound >= EXACT_IN_FLOAT32:
            raise OverflowError(
                f"node {node.name}: accumulators reach {bound:.0f}, beyond float32's exact 2^24"
            )
        return MatrixVector(node.name, torch.from_numpy(weights.astype(np.float32)))
    if kind == "Thresholding":
        thresholds = model.get_initializer(node.input[1]).astype(np.int32)
        return Thresholds(node.name, torch.from_numpy(thresholds), operator.get_nodeattr("ActVal"))
    if kind == "LabelSelect":
        return LabelSelect(node.name)
    if kind == "NoiseTap":
        channels = operator.get_nodeattr("NumChannels")
        return Tap(
            name=node.name,
            site=operator.get_nodeattr("SiteName"),
            number=operator.get_nodeattr("Site"),
            format=TapFormat(
                frac=operator.get_nodeattr("FracBits"),
                out_min=operator.get_nodeattr("OutMin"),
                out_max=operator.get_nodeattr("OutMax"),
                rounds=bool(operator.get_nodeattr("Rounds")),
                step=operator.get_nodeattr("Step"),
            ),
            offsets=torch.tensor(
                list(operator.get_nodeattr("Offsets")) or [0] * channels, dtype=torch.int64
            ),
        )
    if kind in ("StreamingFIFO", "StreamingDataWidthConverter"):
        return None
    raise NotImplementedError(f"node {node.name}: no golden model of {node.op_type}")

"""Conversion of FINN's graph of hardware layers to the golden model's layers."""

import math

import numpy as np
import torch
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.errors import UserError
from flow.golden import units
from flow.golden.joins import Addition, Concatenation, Product
from flow.golden.layers import (
    EXACT_IN_FLOAT32,
    ByteConvolution,
    Convolution,
    LabelSelect,
    Layer,
    MatrixVector,
    Padding,
    Pool,
    Tap,
    Thresholds,
    Upsampling,
    Window,
    filters_of,
    pool_shift,
)
from flow.golden.tiles import TileProducts, TileSum
from flow.noise.hardware.fixed_point import TapFormat
from flow.noise.hardware.registers import sigma_fraction_bits

WIRES = ("StreamingFIFO", "StreamingDataWidthConverter", "DuplicateStreams")
"""Operators whose outputs equal their input."""
Place = tuple[str, tuple[str, ...], str]
"""A node's name, the tensors it reads and the tensor it writes."""


def read_layers(model: ModelWrapper) -> list[Layer]:
    """Return the layers that the nodes of FINN's graph compute, in order.

    Raises:
        UserError: a node has no golden model, or a matrix product could exceed the range in which
            float32 is exact.
    """
    layers: list[Layer] = []
    sources: dict[str, str] = {}
    """Original of each tensor that only passes another one on."""
    windows: dict[str, Window] = {}
    """Window of each tensor that a sliding-window generator writes."""
    for node in model.graph.node:
        kind = node.op_type.removesuffix("_rtl")
        inputs = [sources.get(name, name) for name in node.input]
        if kind in WIRES:
            sources |= dict.fromkeys(node.output, inputs[0])
        elif kind == "ConvolutionInputGenerator":
            sources[node.output[0]] = inputs[0]
            windows[node.output[0]] = _window(getCustomOp(node))
        else:
            window = next((windows[name] for name in node.input if name in windows), None)
            streams = tuple(
                one
                for name, one in zip(node.input, inputs, strict=True)
                if model.get_initializer(name) is None
            )
            layers.append(_layer(model, node, streams, window))
    return layers


def _window(generator) -> Window:
    sizes = (generator.get_nodeattr(name) for name in ("ConvKernelDim", "Stride", "Dilation"))
    return Window(*(tuple(int(side) for side in size) for size in sizes))


def _layer(model: ModelWrapper, node, inputs: tuple[str, ...], window: Window | None) -> Layer:
    """Return the layer of a node, which works on windows if their generator feeds it."""
    operator = getCustomOp(node)
    kind = node.op_type.removesuffix("_rtl")
    place = (node.name, inputs, node.output[0])
    if kind in units.UNITS:
        return _matrix_product(model, node, place, window)
    if kind == "AddStreams":
        factors = None if (operator.gains == 1).all() else torch.from_numpy(operator.gains)
        wide = operator.out_dtype.bitwidth() > EXACT_IN_FLOAT32.bit_length() - 1
        return Addition(*place, factors, wide)
    if kind == "MultiplyStreams":
        return Product(*place)
    if kind == "StreamingConcat":
        return Concatenation(*place, tuple(operator.gains))
    if kind == "UpsampleNearestNeighbour":
        return Upsampling(*place, operator.factors)
    if kind == "FMPadding":
        return Padding(*place, tuple(int(n) for n in operator.get_nodeattr("Padding")))
    if kind == "Pool" and window is not None:
        return _pool(operator, place, window)
    if kind == "Thresholding":
        thresholds = np.array(model.get_initializer(node.input[1]).T, np.float32, order="C")
        # FINN represents a bipolar output by the count of thresholds
        bias, scale = operator.get_nodeattr("ActVal"), 1
        if operator.get_output_datatype() == DataType["BIPOLAR"]:
            bias, scale = -1, 2
        fall = operator.get_nodeattr("Falling")
        falling = torch.tensor(fall, dtype=torch.bool) if fall else None
        falls = tuple(map(bool, operator.get_nodeattr("Falls")))
        return Thresholds(*place, torch.from_numpy(thresholds), bias, scale, falling, falls)
    if kind == "LabelSelect":
        found = operator.comparison()
        gains, offsets = (torch.tensor(n) if n else None for n in (found.gains, found.offsets))
        return LabelSelect(*place, found.shift, offsets, gains)
    if kind == "TileAccumulator":
        bounds = (operator.get_nodeattr(name) for name in ("OutMin", "OutMax"))
        fraction = getCustomOp(model.find_producer(node.input[0])).get_nodeattr("FracBits")
        tiles, planes = operator.get_nodeattr("Tiles"), units.planes(operator)
        return TileSum(*place, tiles, TapFormat(fraction, *bounds), planes)
    if kind == "NoiseTap":
        return _tap(operator, place)
    raise UserError(
        f"node {node.name}: the operator {node.op_type} has no golden model; build the network of "
        "layers that `noisewalk check` accepts"
    )


def _matrix_product(
    model: ModelWrapper, node, place: Place, window: Window | None
) -> MatrixVector | ByteConvolution | Convolution | TileProducts:
    """Return a matrix-vector product, or the convolution that one behind a window computes."""
    operator = getCustomOp(node)
    whole = _whole_product(model, node, place, window)
    if units.partial_sums(operator) == 1:
        return whole
    lengths = tuple(units.tile_lengths(operator))
    return TileProducts(*place, whole, lengths, units.planes(operator))


def _whole_product(
    model: ModelWrapper, node, place: Place, window: Window | None
) -> MatrixVector | ByteConvolution | Convolution:
    operator = getCustomOp(node)
    matrix = torch.from_numpy(_weights(model, node, operator))
    depth_wise = units.operator_kind(node) == "VVAU"
    if depth_wise and window is None:
        window = Window((1, 1), (1, 1), (1, 1))
    if window is None:
        pixels = tuple(model.get_tensor_shape(node.output[0])[1:-1])
        return MatrixVector(*place, matrix, pixels)
    datatype = operator.get_input_datatype(0)
    floats = Convolution(*place, filters_of(matrix, window), window, depth_wise)
    return ByteConvolution.of(floats, int(datatype.min()), int(datatype.max()))


def _pool(operator, place: Place, window: Window) -> Pool:
    """Return a pooling; UserError for one whose results are no integers."""
    function = operator.get_nodeattr("Function")
    if function == "AvgPool":
        raise UserError(
            f"node {place[0]}: AvgPool gives fractions, which no integer stream holds: pool "
            "with MaxPool, AccPool or QuantAvgPool"
        )
    widths = (
        operator.get_input_datatype().bitwidth(),
        operator.get_output_datatype().bitwidth(),
    )
    places = math.prod(operator.get_nodeattr("KernelSize"))
    shift = None if function == "MaxPool" else pool_shift(function, places, *widths)
    return Pool(*place, window, shift)


def _tap(operator, place: Place) -> Tap:
    """Return a noise tap."""
    channels = operator.get_nodeattr("NumChannels")
    return Tap(
        *place,
        site=operator.get_nodeattr("SiteName"),
        number=operator.get_nodeattr("Site"),
        format=TapFormat(
            frac=operator.get_nodeattr("FracBits"),
            out_min=operator.get_nodeattr("OutMin"),
            out_max=operator.get_nodeattr("OutMax"),
            rounds=bool(operator.get_nodeattr("Rounds")),
            step=operator.get_nodeattr("Step"),
            sigma_frac=sigma_fraction_bits(operator.get_input_datatype().bitwidth()),
        ),
        offsets=torch.tensor(
            list(operator.get_nodeattr("Offsets")) or [0] * channels, dtype=torch.int64
        ),
    )


def _weights(model: ModelWrapper, node, operator) -> np.ndarray:
    """Return a unit's weights, float32 [MW, MH]."""
    weights = units.matrix(model.get_initializer(node.input[1]))
    least = most = weights.astype(np.float64)
    if operator.get_nodeattr("runtime_writeable_weights"):
        # programmed with errors, weights may have any value of their type
        limit = -float(operator.get_input_datatype(1).min())
        least, most = np.minimum(least, -limit), np.maximum(most, limit)
    datatype = operator.get_input_datatype(0)
    low, high = min(float(datatype.min()), 0.0), float(datatype.max())
    # the largest and the smallest sum of any of the products
    above = np.maximum(most * high, least * low).clip(min=0).sum(axis=0)
    below = np.minimum(least * high, most * low).clip(max=0).sum(axis=0)
    bound = float(max(above.max(), -below.min()))
    if bound >= EXACT_IN_FLOAT32:
        raise UserError(
            f"node {node.name}: accumulators reach {bound:.0f}, beyond 2^24, up to which float32 "
            "is exact: use fewer bits, or fewer inputs of a layer"
        )
    return weights.astype(np.float32)

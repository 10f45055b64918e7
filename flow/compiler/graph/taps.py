"""Insertion of noise taps on the stream edges of a graph of hardware layers."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

from flow.compiler.graph.windows import SumTypes
from flow.errors import UserError
from flow.models.qonnx.tidy.steps import reach
from flow.noise.hardware.registers import sigma_fraction_bits
from flow.noise.site import Site

FRACTION_BITS = 8
"""Fractional bits F of the widened accumulator; fewer if thresholds are wide."""

WIDEST_BEFORE_THRESHOLDS = 24
"""Largest width before thresholds, in bits: FINN executes in float32, exact up to 2^24."""

WIDTH_AT_END = 32
"""Bits of the stream into label select, or into a sum."""

BEYOND = 4
"""Fractional bits that σₐ has beyond F in a stream of `WIDTH_AT_END` bits, at least: noise of the
largest σₐ, 2^32 in its own units, reaches 8σ at 2^31."""

NOISE_BITS = 4
"""Bits of a tile's noisy partial sum beyond those of the layer's sum: 6σ for a σ of twice its
range."""


class InsertNoiseTaps(Transformation):
    """Insert a tap on the edge of each given site, and widen the thresholds downstream of it.

    A threshold t downstream of an ``.acc`` tap becomes ceil(t · 2^F) with the unrounded t, so a
    value with F fractional bits compares as in real arithmetic. The same holds for label select,
    whose offsets become 2^F times as large. A ``.tile`` tap keeps F fractional bits as well, and
    the accumulator behind it saturates as an ``.acc`` tap does.

    Args:
        edges: the graph's tensor at every site of the network, in the order of the data flow; the
            position is the site's number in the noise counter.
        tapped: sites that get taps.
        input_levels: smallest and largest values of the integer input stream, and its step.
    """

    def __init__(
        self,
        edges: Mapping[str, str],
        tapped: Iterable[str],
        input_levels: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.edges = edges
        self.tapped = set(tapped)
        self.input_levels = input_levels

    def apply(self, model):
        """Apply the transformation to the whole graph."""
        for site, edge in self.edges.items():
            if site not in self.tapped:
                continue
            if Site(site).is_accumulator:
                self._insert_accumulator_tap(model, edge, site)
            else:
                levels = self.input_levels if site == "input" else _levels(model, edge)
                self._insert_activation_tap(model, edge, site, *levels)
        _carry_fractions(model)
        for step in (
            GiveUniqueNodeNames(),
            GiveReadableTensorNames(),
            SumTypes(),
            RoundAndClipThresholds(),
        ):
            model = model.transform(step)
        for node in model.get_nodes_by_op_type("Thresholding"):
            getCustomOp(node).minimize_weight_bit_width(model)
        return model, False

    def _insert_accumulator_tap(self, model: ModelWrapper, edge: str, site: str) -> None:
        consumer = model.find_consumer(edge)
        if consumer is None:
            raise UserError(f"site {site}: nothing reads its accumulator, so no tap fits")
        accumulator, stream = None, edge
        if Site(site).is_tile:
            accumulator, stream = getCustomOp(consumer), consumer.output[0]
        datatype = model.get_tensor_datatype(edge)
        fraction, width = FRACTION_BITS, WIDTH_AT_END
        readers, places, added = _readers(model, stream)
        compared = all(reader.op_type == "Thresholding" for reader in readers)
        # a value that saturates would change a sum, or the order of scores
        wide = added or places > 1 or not compared
        if wide:
            fraction = min(fraction, sigma_fraction_bits(datatype.bitwidth()) - BEYOND)
        if compared:
            rows = [model.get_initializer(reader.input[1]) for reader in readers]
            spare = WIDEST_BEFORE_THRESHOLDS - max(map(_width_for_thresholds, rows))
            # wide thresholds leave fewer fractional bits, and their LSB is finer anyway; those of a
            # channel with hardly any gain may need more than there is: no noise reaches them
            if not added:
                fraction = min(fraction, max(spare, 1))
            if not wide:
                needed = max(_width_for_thresholds(one * np.float32(2**fraction)) for one in rows)
                width = min(needed, WIDEST_BEFORE_THRESHOLDS)
        elif len(readers) != 1:
            kinds = ", ".join(reader.op_type for reader in readers)
            raise UserError(
                f"site {site}: its accumulator is read by {kinds}: quantise it for every reader"
            )
        if accumulator is not None:
            accumulator.set_nodeattr("outputDataType", f"INT{width}")
            for name, bound in zip(("OutMin", "OutMax"), _bounds(width), strict=True):
                accumulator.set_nodeattr(name, bound)
            whole = datatype.bitwidth() + (not datatype.signed())
            width = min(whole + fraction + NOISE_BITS, WIDTH_AT_END)
        attributes = {"outputDataType": f"INT{width}", "FracBits": fraction}
        self._insert(model, edge, site, _bounds(width), **attributes)

    def _insert_activation_tap(
        self, model: ModelWrapper, edge: str, site: str, low: int, high: int, step: int
    ) -> None:
        datatype = model.get_tensor_datatype(edge).name
        attributes = {"Rounds": 1, "Step": step, "FracBits": FRACTION_BITS}
        self._insert(model, edge, site, (low, high), outputDataType=datatype, **attributes)

    def _insert(
        self, model: ModelWrapper, edge: str, site: str, bounds: tuple[int, int], **attributes
    ) -> None:
        """Insert a tap between an edge's producer and its consumer."""
        shape = model.get_tensor_shape(edge)
        consumer = model.find_consumer(edge)
        noisy = model.make_new_valueinfo_name()
        idt = model.get_tensor_datatype(edge)
        model.graph.value_info.append(
            helper.make_tensor_value_info(noisy, TensorProto.FLOAT, shape)
        )
        model.set_tensor_datatype(noisy, DataType[attributes["outputDataType"]])
        tap = helper.make_node(
            "NoiseTap",
            [edge],
            [noisy],
            domain="finn.custom_op.fpgadataflow",
            backend="fpgadataflow",
            NumChannels=shape[-1],
            PE=1,
            inputDataType=idt.name,
            numInputVectors=list(shape[:-1]),
            OutMin=bounds[0],
            OutMax=bounds[1],
            SiteName=site,
            Site=list(self.edges).index(site),
            **attributes,
        )
        index = list(model.graph.node).index(consumer)
        consumer.input[list(consumer.input).index(edge)] = noisy
        model.graph.node.insert(index, tap)


def _carry_fractions(model: ModelWrapper) -> None:
    """Let all that compares or adds what taps put out count in units of 2^−F, of the taps' F."""
    fractions: dict[str, int] = {}
    for node in model.graph.node:
        found = [fractions.get(name, 0) for name in node.input]
        fraction = max(found)
        operator = getCustomOp(node)
        if node.op_type == "NoiseTap":
            fraction = 0 if operator.get_nodeattr("Rounds") else operator.get_nodeattr("FracBits")
        elif node.op_type == "AddStreams" and fraction:
            shifts = [[1 << fraction - own] for own in found]
            operator.set_nodeattr("Gains", (operator.gains * shifts).ravel().tolist())
        elif node.op_type == "Thresholding" and fraction:
            rows = model.get_initializer(node.input[1])
            model.set_initializer(node.input[1], rows * np.float32(2**fraction))
        elif node.op_type == "LabelSelect" and (offsets := operator.get_nodeattr("Offsets")):
            operator.set_nodeattr("Offsets", [one * 2**fraction for one in offsets])
        if node.op_type != "Thresholding":
            fractions |= dict.fromkeys(node.output, fraction)


_BETWEEN = (
    "AddStreams",
    "ConvolutionInputGenerator",
    "DuplicateStreams",
    "FMPadding",
    "Pool",
    "UpsampleNearestNeighbour",
)


def _readers(model: ModelWrapper, stream: str) -> tuple[list, int, bool]:
    """Return the nodes that compare the values of a stream, behind forks and sums.

    Also returned are how many values of a window are summed at most, and whether others are added.
    """
    found, most, added = [], 1, False
    for node in model.find_consumers(stream):
        if node.op_type not in _BETWEEN:
            found.append(node)
            continue
        for output in node.output:
            readers, places, joined = _readers(model, output)
            if node.op_type == "Pool":
                places *= math.prod(getCustomOp(node).get_nodeattr("KernelSize"))
            found += [reader for reader in readers if reader not in found]
            most, added = max(most, places), added or joined or node.op_type == "AddStreams"
    return found, most, added


def _bounds(width: int) -> tuple[int, int]:
    """Return the smallest and largest signed number of this many bits."""
    return -(1 << width - 1), (1 << width - 1) - 1


def _levels(model: ModelWrapper, edge: str) -> tuple[int, int, int]:
    """Return the smallest and largest values of activations, and the step between values."""
    node = model.find_producer(edge)
    while node.op_type != "Thresholding":
        # a pooling and its windows, which do not change the levels
        node = model.find_producer(node.input[0])
    if getCustomOp(node).get_output_datatype() == DataType["BIPOLAR"]:
        return -1, 1, 2
    bias = getCustomOp(node).get_nodeattr("ActVal")
    thresholds = model.get_initializer(node.input[1])
    falls = (getCustomOp(node).get_nodeattr(name) for name in ("Falls", "Falling"))
    least, most = reach(thresholds, *falls)
    return bias + least, bias + most, grid(thresholds)


def grid(thresholds: np.ndarray) -> int:
    """Return the step between outputs: 2 if each threshold occurs twice, that is, for ±1."""
    return 2 if thresholds.shape[1] == 2 and (np.diff(thresholds) == 0).all() else 1


def _width_for_thresholds(thresholds: np.ndarray) -> int:
    """Return the signed bits that hold the thresholds and the value below them, plus one bit.

    What is infinite lies beyond all widths.
    """
    thresholds = thresholds[np.isfinite(thresholds)]
    low, high = thresholds.min(initial=0), thresholds.max(initial=0)
    low, high = int(np.ceil(low)) - 1, int(np.ceil(high))
    return max((low if low >= 0 else -low - 1).bit_length(), abs(high).bit_length()) + 2

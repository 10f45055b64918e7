"""Insert noise taps on the stream edges of a graph of hardware layers."""

from collections.abc import Iterable, Sequence

import numpy as np
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames
from qonnx.transformation.infer_datatypes import InferDataTypes

from flow.errors import UserError

FRACTION_BITS = 8
"""F of the widened accumulator, in bits."""

WIDEST_BEFORE_THRESHOLDS = 24
"""FINN executes in float32, which holds integers exactly up to 2^24."""

WIDTH_AT_END = 32
"""Bits of the stream into label select: noise of 2^16 LSB, times 2^8, reaches 6σ below 2^31."""


class InsertNoiseTaps(Transformation):
    """Put a tap on the edge of each given site, and widen the thresholds behind it.

    A threshold t behind an ``.acc`` tap becomes ceil(t · 2^F): the unrounded t, so that a value
    with F fractional bits compares as in real arithmetic.

    Args:
        all_sites: every site of the network in the order of the data; the place in this list is
            the site's number in the noise counter.
        tapped: the sites to put taps on.
        input_levels: smallest and largest value of the integer input stream, and its grid.
    """

    def __init__(
        self, all_sites: Sequence[str], tapped: Iterable[str], input_levels: tuple[int, int, int]
    ) -> None:
        super().__init__()
        self.all_sites = list(all_sites)
        self.tapped = set(tapped)
        self.input_levels = input_levels

    def apply(self, model):
        """Apply to the whole graph at once."""
        accumulators = iter(s for s in self.all_sites if s.endswith(".acc"))
        layer = ""
        if "input" in self.tapped:
            first = model.graph.node[0]
            self._insert_activation_tap(model, first.input[0], "input", *self.input_levels)
        for node in [n for n in model.graph.node if n.op_type != "NoiseTap"]:
            if node.op_type == "MVAU":
                site = next(accumulators)
                layer = site.removesuffix(".acc")
                if site in self.tapped:
                    self._insert_accumulator_tap(model, node, site)
            elif node.op_type == "Thresholding" and f"{layer}.act" in self.tapped:
                edge = _behind_pooling(model, node.output[0])
                self._insert_activation_tap(model, edge, f"{layer}.act", *_levels(model, node))
        for step in (
            GiveUniqueNodeNames(),
            GiveReadableTensorNames(),
            InferDataTypes(),
            RoundAndClipThresholds(),
        ):
            model = model.transform(step)
        for node in model.get_nodes_by_op_type("Thresholding"):
            getCustomOp(node).minimize_weight_bit_width(model)
        return model, False

    def _insert_accumulator_tap(self, model, node, site: str) -> None:
        edge = node.output[0]
        consumer = model.find_consumer(edge)
        if consumer is None:
            raise UserError(f"node {node.name}: nothing reads its accumulator, so no tap fits")
        if consumer.op_type == "Thresholding":
            thresholds = model.get_initializer(consumer.input[1]) * np.float32(2**FRACTION_BITS)
            model.set_initializer(consumer.input[1], thresholds)
            width = min(_width_for_thresholds(thresholds), WIDEST_BEFORE_THRESHOLDS)
        else:
            width = WIDTH_AT_END
        bounds = (-(1 << width - 1), (1 << width - 1) - 1)
        self._insert(model, edge, site, bounds, outputDataType=f"INT{width}")

    def _insert_activation_tap(
        self, model: ModelWrapper, edge: str, site: str, low: int, high: int, step: int
    ) -> None:
        datatype = model.get_tensor_datatype(edge).name
        self._insert(model, edge, site, (low, high), outputDataType=datatype, Rounds=1, Step=step)

    def _insert(
        self, model: ModelWrapper, edge: str, site: str, bounds: tuple[int, int], **attributes
    ) -> None:
        """Put a tap between an edge's producer and its consumer."""
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
            FracBits=FRACTION_BITS,
            OutMin=bounds[0],
            OutMax=bounds[1],
            SiteName=site,
            Site=self.all_sites.index(site),
            **attributes,
        )
        index = list(model.graph.node).index(consumer)
        consumer.input[0] = noisy
        model.graph.node.insert(index, tap)


def _behind_pooling(model: ModelWrapper, edge: str) -> str:
    """Return the edge behind a pooling that reads ``edge``, or ``edge`` itself where none does."""
    generator = model.find_consumer(edge)
    if generator is None or generator.op_type != "ConvolutionInputGenerator":
        return edge
    pool = model.find_consumer(generator.output[0])
    return pool.output[0] if pool.op_type == "Pool" else edge


def _levels(model: ModelWrapper, node) -> tuple[int, int, int]:
    """Return the smallest and the largest output of a Thresholding, and its grid."""
    if getCustomOp(node).get_output_datatype() == DataType["BIPOLAR"]:
        return -1, 1, 2
    low = getCustomOp(node).get_nodeattr("ActVal")
    thresholds = model.get_initializer(node.input[1])
    return low, low + thresholds.shape[1], grid(thresholds)


def grid(thresholds: np.ndarray) -> int:
    """Return the step between outputs: 2 where each threshold comes as a pair, that is, for ±1."""
    return 2 if thresholds.shape[1] == 2 and (np.diff(thresholds) == 0).all() else 1


def _width_for_thresholds(thresholds: np.ndarray) -> int:
    """Return the signed bits that hold the thresholds, the value below them, and one bit more."""
    low, high = int(np.ceil(thresholds.min())) - 1, int(np.ceil(thresholds.max()))
    return max((low if low >= 0 else -low - 1).bit_length(), abs(high).bit_length()) + 2

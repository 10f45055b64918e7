"""Conversion of a Brevitas network to FINN's hardware layers, by FINN's transformations."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from finn.transformation.fpgadataflow.convert_to_hw.conv_inp_gen import InferConvInpGen
from finn.transformation.fpgadataflow.convert_to_hw.duplicate_streams import (
    InferDuplicateStreamsLayer,
)
from finn.transformation.fpgadataflow.convert_to_hw.pool import InferPool
from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
    InferQuantizedMatrixVectorActivation,
)
from finn.transformation.fpgadataflow.convert_to_hw.vector_vector_activation import (
    InferVectorVectorActivation,
)
from finn.transformation.fpgadataflow.minimize_accumulator_width import MinimizeAccumulatorWidth
from finn.transformation.move_reshape import RemoveCNVtoFCFlatten
from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
from finn.transformation.streamline import Streamline
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.general.multithreshold import multithreshold
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import (
    GiveReadableTensorNames,
    GiveUniqueNodeNames,
    GiveUniqueParameterTensors,
    SortGraph,
)
from qonnx.transformation.infer_data_layouts import InferDataLayouts
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.insert_topk import InsertTopK
from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul
from qonnx.util.cleanup import cleanup_model

from flow.compiler.graph.joins import ConcatsToStreams, InferJoins, MoveScales
from flow.compiler.graph.passes import (
    AveragesToPools,
    BipolarToBit,
    BipolarToInt2,
    BipolarWeightsToInt2,
    ChannelsLast,
    InferLabelSelect,
    MeanToGlobalPool,
    RejectPaddedBits,
    ScaleBipolarOutside,
    SumTypes,
    UngroupConvolutions,
    UpsamplingToStreams,
    begin_at,
)
from flow.compiler.graph.settled import SettlingModel
from flow.compiler.graph.taps import grid
from flow.compiler.graph.thresholds import (
    FALLING,
    AbsorbNegativeGains,
    InferThresholds,
    QuantToThresholds,
    ScaleThresholdsOutside,
)
from flow.errors import UserError
from flow.models import Network
from flow.models.qonnx.file import export_qonnx
from flow.models.qonnx.tidy.edits import FALLS, attribute
from flow.models.qonnx.tidy.steps import reach

log = logging.getLogger(__name__)

ROUNDING = 2.0**-21
"""Relative difference that a few roundings of float32 make."""


@dataclass(frozen=True)
class HostQuantiser:
    """The network's first quantiser, which runs on the host: float image → integer stream."""

    thresholds: npt.NDArray[np.float32]
    """[rows, steps], in the unit of the network's input, with one row for all values, for each
    channel or for each value."""
    scale: float
    """Step of the output per threshold."""
    bias: float
    """Output below the first threshold."""
    datatype: str
    """QONNX type of the integer stream."""
    channels_last: bool
    """Whether the stream is (H, W, C), for a convolution, rather than (C, H, W)."""
    falls: Sequence[int] = ()
    """Whether each step falls; empty if none does."""
    falling: Sequence[int] = ()
    """Whether each row falls, behind a negative gain; empty if none does."""

    @property
    def levels(self) -> tuple[int, int, int]:
        """Smallest and largest values of the stream, and the step between values."""
        counts = reach(self.falls, self.thresholds.shape[1])
        low, high = (int(self.bias + self.scale * count) for count in counts)
        return low, high, int(self.scale) * grid(self.thresholds)

    def __call__(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Quantise images, float32 [N, C, H, W], to the stream's order, int32 [N, elements]."""
        if len(self.thresholds) not in (1, x.shape[1]):
            # the network flattens its images first
            x = x.reshape(len(x), -1)
        counts = multithreshold(x, self.thresholds)
        if falls := np.flatnonzero(self.falls).tolist():
            counts = counts + len(falls) - 2 * multithreshold(x, self.thresholds[:, falls])
        if len(self.falling):
            rows = np.reshape(self.falling, (-1, *[1] * (x.ndim - 2)))
            counts = np.where(rows, self.thresholds.shape[1] - counts, counts)
        values = (self.scale * counts + self.bias).astype(np.int32)
        if self.channels_last:
            values = values.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(values).reshape(len(x), -1)

    def undecided(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Return which values of the stream lie on a threshold up to float32's rounding.

        Args:
            x: images, float32 [N, C, H, W].

        Returns:
            [N, elements], in the stream's order.
        """
        nudge = np.float32(ROUNDING)
        return self(x * (1 - nudge)) != self(x * (1 + nudge))


def export(network: Network, path: Path) -> ModelWrapper:
    """Return a network as QONNX, with top-1 at its end.

    Args:
        network: the network, in evaluation mode, without noise.
        path: path of the ONNX file to write, unless the network was read from one.
    """
    if network.definition:
        model = ModelWrapper(network.definition).transform(QuantToThresholds())
    else:
        export_qonnx(network, network.image_shape, path)
        model = ModelWrapper(str(path))
    return cleanup_model(model.transform(InsertTopK(k=1)))


def to_hardware_layers(model: ModelWrapper, mvu: str) -> tuple[ModelWrapper, HostQuantiser]:
    """Streamline a QONNX model and infer FINN's hardware layers.

    Args:
        model: the model from `export`.
        mvu: matrix-vector unit, ``lut`` or ``dsp``, of which the latter takes no one-bit streams.

    Returns:
        The graph of hardware layers, whose input is the integer stream and whose thresholds are
        not rounded; and the quantiser that makes that stream.

    Raises:
        UserError: a node has no hardware layer; the message names it.
    """
    model = SettlingModel(model.model)
    for step in (
        ScaleBipolarOutside(),
        ScaleThresholdsOutside(),
        ConvertQONNXtoFINN(),
        UngroupConvolutions(depth_wise=mvu == "dsp"),
        MeanToGlobalPool(),
        Streamline(),
        MoveScales(),
        AbsorbNegativeGains(),
        ConcatsToStreams(),
        AveragesToPools(),
        UpsamplingToStreams(),
        LowerConvsToMatMul(),
        ChannelsLast(),
        Streamline(),
        BipolarWeightsToInt2(),
    ):
        model = model.transform(step)
    if mvu == "dsp":
        model = model.transform(BipolarToInt2())
    model, quantiser = _cut_host(model)
    for step in (
        BipolarToBit(),
        # before matrix-vector units are inferred, which would otherwise absorb the thresholds
        InferThresholds(),
        InferQuantizedMatrixVectorActivation(),
        InferVectorVectorActivation(),
        InferLabelSelect(),
        InferPool(),
        RejectPaddedBits(),
        InferConvInpGen(),
        InferJoins(),
        InferDuplicateStreamsLayer(),
        RemoveCNVtoFCFlatten(),
        GiveUniqueNodeNames(),
        GiveReadableTensorNames(),
        InferDataTypes(),
        MinimizeAccumulatorWidth(),
        SumTypes(),
    ):
        model = model.transform(step)
    _reject_unsupported(model)
    return ModelWrapper(model.model), quantiser


def _cut_host(model: ModelWrapper) -> tuple[ModelWrapper, HostQuantiser]:
    """Cut the graph after its first MultiThreshold, and return that as the host's quantiser.

    The host also puts channels last if the graph's first convolution needs it.
    """
    first = next((n for n in model.graph.node if n.op_type == "MultiThreshold"), None)
    if first is None or model.get_tensor_datatype(first.input[0]).is_integer():
        raise UserError("the network does not quantise its input: begin it with a QuantIdentity")
    operator = getCustomOp(first)
    last = first
    followers = model.find_consumers(first.output[0])
    if {node.op_type for node in followers} == {"Transpose"}:
        # one for each reader of the images
        last, *others = followers
        for node in others:
            for reader in model.find_consumers(node.output[0]):
                for index, name in enumerate(reader.input):
                    reader.input[index] = last.output[0] if name == node.output[0] else name
            model.graph.node.remove(node)
    quantiser = HostQuantiser(
        thresholds=model.get_initializer(first.input[1]),
        scale=operator.get_nodeattr("out_scale"),
        bias=operator.get_nodeattr("out_bias"),
        datatype=operator.get_nodeattr("out_dtype"),
        channels_last=last is not first,
        falls=attribute(first, FALLS, []),
        falling=attribute(first, FALLING, []),
    )
    nodes = list(model.graph.node)
    begin_at(model, last.output[0], nodes[: nodes.index(last) + 1])
    for step in (InferShapes(), InferDataTypes(), InferDataLayouts(), SortGraph()):
        model = model.transform(step)
    return model.transform(GiveUniqueParameterTensors()), quantiser


SUPPORTED: Sequence[str] = (
    "AddStreams",
    "ConvolutionInputGenerator",
    "DuplicateStreams",
    "FMPadding",
    "LabelSelect",
    "MVAU",
    "MultiplyStreams",
    "Pool",
    "StreamingConcat",
    "Thresholding",
    "UpsampleNearestNeighbour",
    "VVAU",
)


def _reject_unsupported(model: ModelWrapper) -> None:
    found = [
        f"node {node.name} is a {node.op_type}"
        for node in model.graph.node
        if node.op_type not in SUPPORTED
    ]
    if found:
        raise UserError(
            f"{', '.join(found)}: there is no RTL for them; supported are " + ", ".join(SUPPORTED)
        )

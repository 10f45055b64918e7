"""Conversion of a Brevitas network to FINN's hardware layers, by FINN's transformations."""

import logging
from collections.abc import Sequence
from pathlib import Path

from finn.transformation.fpgadataflow.convert_to_hw.conv_inp_gen import InferConvInpGen
from finn.transformation.fpgadataflow.convert_to_hw.duplicate_streams import (
    InferDuplicateStreamsLayer,
)
from finn.transformation.fpgadataflow.convert_to_hw.pool import InferPool
from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
    InferQuantizedMatrixVectorActivation,
)
from finn.transformation.fpgadataflow.minimize_accumulator_width import MinimizeAccumulatorWidth
from finn.transformation.move_reshape import RemoveCNVtoFCFlatten
from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
from finn.transformation.streamline import Streamline
from qonnx.core.modelwrapper import ModelWrapper
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
    BipolarToBit,
    BipolarToInt2,
    BipolarWeightsToInt2,
    ChannelsLast,
    ImagesChannelsLast,
    InferLabelSelect,
    MeanToGlobalPool,
    RejectPaddedBits,
    ScaleBipolarOutside,
    UngroupConvolutions,
    UpsamplingToStreams,
    begin_at,
)
from flow.compiler.graph.settled import SettlingModel
from flow.compiler.graph.thresholds import (
    FALLING,
    AbsorbNegativeGains,
    InferThresholds,
    QuantToThresholds,
    ScaleThresholdsOutside,
)
from flow.compiler.graph.windows import DepthWiseToUnits, SumTypes
from flow.compiler.host import HostQuantiser
from flow.errors import UserError
from flow.models import Network
from flow.models.qonnx.file import export_qonnx
from flow.models.qonnx.tidy.edits import FALLS, attribute

log = logging.getLogger(__name__)


def export(network: Network, path: Path) -> ModelWrapper:
    """Return a network as QONNX, with top-1 at its end.

    Args:
        network: the network, in evaluation mode, without noise.
        path: path of the ONNX file to write, unless the network was read from one.
    """
    if network.definition:
        model = SettlingModel(network.definition).transform(QuantToThresholds())
    else:
        export_qonnx(network, network.image_shape, path)
        model = SettlingModel(str(path))
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
        UpsamplingToStreams(),
        # the factors of averages go past convolutions
        Streamline(),
        BipolarWeightsToInt2(),
        DepthWiseToUnits(),
        LowerConvsToMatMul(),
        ImagesChannelsLast(),
        ChannelsLast(),
        GiveUniqueNodeNames(),
        InferDataLayouts(),
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

    The host also puts channels last if they are so behind the quantiser or in front of it.
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
    before = model.find_producer(first.input[0])
    turned = before is not None and before.op_type == "Transpose"
    quantiser = HostQuantiser(
        thresholds=model.get_initializer(first.input[1]),
        scale=operator.get_nodeattr("out_scale"),
        bias=operator.get_nodeattr("out_bias"),
        datatype=operator.get_nodeattr("out_dtype"),
        channels_last=last is not first or turned,
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

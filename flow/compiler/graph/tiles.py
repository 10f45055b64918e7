"""Partial sums in a graph of hardware layers: units that give them, and what adds them up."""

from collections.abc import Mapping

from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.infer_datatypes import InferDataTypes

from flow.golden.units import operator_kind, tile_lengths
from flow.models.planes import Planes
from flow.noise.site import Site


class TileUnits(Transformation):
    """Let the unit of each ``.tile`` site give a sum per plane and tile, and add them up behind.

    Args:
        edges: output stream of each unit, by site; it becomes the stream of partial sums.
        rows: rows of a tile; None for whole layers.
        planes: planes of the activations at each site.
    """

    def __init__(
        self, edges: Mapping[str, str], rows: int | None, planes: Mapping[Site, Planes]
    ) -> None:
        super().__init__()
        self.edges = edges
        self.rows = rows
        self.planes = planes

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for site, edge in self.edges.items():
            if Site(site).is_tile:
                self._tile(model, edge, self.planes[Site(site)])
        return model.transform(InferDataTypes()), False

    def _tile(self, model: ModelWrapper, edge: str, planes: Planes) -> None:
        unit, consumer = getCustomOp(model.find_producer(edge)), model.find_consumer(edge)
        *vectors, channels = model.get_tensor_shape(edge)
        # a depth-wise unit has one tile
        if self.rows is not None and operator_kind(unit.onnx_node) == "MVAU":
            unit.set_nodeattr("Rows", self.rows)
        unit.set_nodeattr("Planes", planes.count)
        unit.set_nodeattr("PlaneBits", planes.bits)
        model.set_tensor_shape(edge, unit.get_normal_output_shape())
        datatype = unit.get_output_datatype()
        total = model.make_new_valueinfo_name()
        model.graph.value_info.append(
            helper.make_tensor_value_info(total, TensorProto.FLOAT, [*vectors, channels])
        )
        model.set_tensor_datatype(total, datatype)
        accumulator = helper.make_node(
            "TileAccumulator",
            [edge],
            [total],
            domain="finn.custom_op.fpgadataflow",
            backend="fpgadataflow",
            NumChannels=channels,
            PE=1,
            Tiles=len(tile_lengths(unit)),
            Planes=planes.count,
            PlaneBits=planes.bits,
            inputDataType=datatype.name,
            outputDataType=datatype.name,
            numInputVectors=vectors,
            OutMin=int(datatype.min()),
            OutMax=int(datatype.max()),
        )
        index = list(model.graph.node).index(consumer)
        consumer.input[list(consumer.input).index(edge)] = total
        model.graph.node.insert(index, accumulator)

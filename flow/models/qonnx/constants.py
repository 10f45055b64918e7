"""Constants of a graph, computed beforehand."""

from collections.abc import Sequence

import qonnx.core.onnx_exec as onnx_exec
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.infer_shapes import InferShapes


class FoldAllConstants(FoldConstants):
    """Folds what `FoldConstants` folds, all nodes of known shapes at once.

    That folds a node, infers the shapes of the whole graph and looks for the next one, which takes
    most of the time of reading a network whose weights are quantised by arithmetic.
    """

    def __init__(self, exclude_op_types: Sequence[str]) -> None:
        super().__init__(list(exclude_op_types))

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Apply the transformation to the whole graph."""
        version = model.model.opset_import[0].version
        context = model.make_empty_exec_context()
        constants = {tensor.name for tensor in model.graph.initializer}
        folded = []
        for node in model.graph.node:
            known = all(name in constants for name in node.input)
            if not node.input or not known or node.op_type in self.exclude_op_types:
                continue
            shape = model.get_tensor_shape(node.output[0])
            if len(node.output) != 1 or not shape or 0 in shape:
                continue
            for name in node.input:
                model.get_tensor_shape(name, fix_missing_init_shape=True)
            onnx_exec.execute_node(node, context, model.graph, opset_version=version)
            model.set_initializer(node.output[0], context[node.output[0]])
            constants.add(node.output[0])
            folded.append(node)
        if not folded:
            # what needs the shapes of others first
            return super().apply(model)
        for node in folded:
            model.graph.node.remove(node)
        return model.transform(InferShapes()), True

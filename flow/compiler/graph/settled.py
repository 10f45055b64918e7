"""A graph on which FINN does not repeat what has just found nothing to do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from onnx import ModelProto, shape_inference
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveReadableTensorNames
from qonnx.transformation.infer_shapes import InferShapes, _hide_finn_ops, _restore_finn_ops


def content(model: ModelProto) -> list[Any]:
    """Return all that a model says, in a form to compare it by.

    Its weights are copied as bytes, in a sixth of the time in which the model is serialised.
    """
    found: list[Any] = []
    for field, value in (*model.ListFields(), *model.graph.ListFields()):
        if field.name == "initializer":
            value = [
                (one.name, one.data_type, *one.dims, one.raw_data or one.SerializeToString())
                for one in value
            ]
        elif field.is_repeated:
            value = [one.SerializeToString(deterministic=True) for one in value]
        elif field.name == "graph":
            continue
        found.append((field.name, value))
    return found


class _ReadableTensorNames(Transformation):
    """Gives the names of `GiveReadableTensorNames` in one pass, a quarter of a conversion's time.

    Each name there is a pass over the graph, and each tensor gets two. One name would be left where
    a node reads a tensor twice.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Apply the transformation to the whole graph."""
        graph = model.graph
        constants = {one.name for one in graph.initializer}
        names = {name: f"tensor_{i}" for i, name in enumerate(model.get_all_tensor_names())}
        for node in graph.node:
            names |= {name: f"{node.name}_out{i}" for i, name in enumerate(node.output)}
            read = [name for name in node.input if name in constants]
            names |= {name: f"{node.name}_param{i}" for i, name in enumerate(read)}
        for tensors, kind in ((graph.input, "global_in"), (graph.output, "global_out")):
            names |= {one.name: f"{kind}_{i}" if i else kind for i, one in enumerate(tensors)}
        for one in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            one.name = names.get(one.name, one.name)
        for one in graph.quantization_annotation:
            one.tensor_name = names.get(one.tensor_name, one.tensor_name)
        for node in graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        return model, False


class _InferShapes(Transformation):
    """Infers the shapes of `InferShapes`, whose result looks each of them up in all others."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Apply the transformation to the whole graph."""
        hidden = _hide_finn_ops(model)
        inferred = SettlingModel(shape_inference.infer_shapes(model.model))
        _restore_finn_ops(inferred, hidden)
        return inferred, False


class SettlingModel(ModelWrapper):
    """A model that skips a transformation which left an equal graph as it was.

    FINN tidies the graph by five transformations after each of its own, most of which find nothing
    to do, and each of them is followed by five more. Here only a change is followed by them. A
    transformation that is skipped returns the model itself, not a copy.
    """

    _graph: Sequence[Any] = ()
    """Content of the graph that ``_without_effect`` is about; it is tidy."""
    _without_effect: frozenset[str] = frozenset()

    def check_all_tensor_shapes_specified(self, fix_missing_init_shape: bool = False) -> bool:
        """Return whether all tensors have a shape, in one pass if all do; see `ModelWrapper`."""
        graph = self.model.graph
        shapes = Counter(one.name for one in (*graph.input, *graph.output, *graph.value_info))
        tensors = {name for node in graph.node for name in (*node.input, *node.output) if name}
        if all(shapes[name] == 1 for name in tensors):
            return True
        return super().check_all_tensor_shapes_specified(fix_missing_init_shape)

    def get_tensor_datatype(self, tensor_name: str) -> BaseDataType:
        """Return a tensor's type; `ModelWrapper` reads every annotation of the graph for it."""
        for one in self.graph.quantization_annotation:
            if one.tensor_name == tensor_name:
                for entry in one.quant_parameter_tensor_names:
                    if entry.key == "finn_datatype":
                        return DataType[entry.value]
        return super().get_tensor_datatype(tensor_name)

    def transform(
        self,
        transformation: Transformation,
        make_deepcopy: bool = True,
        cleanup: bool = True,
        *options: bool,
        **more: bool,
    ) -> "SettlingModel":
        """Apply a transformation, unless it would change nothing; see `ModelWrapper.transform`."""
        apply = super().transform
        if not cleanup or any(options) or more:
            # part of the tidying after another transformation, which is skipped as a whole
            return apply(transformation, make_deepcopy, cleanup, *options, **more)
        if type(transformation) in _QUICKER:
            transformation = _QUICKER[type(transformation)]()
        step = f"{type(transformation)} {sorted(vars(transformation).items())}"
        before = content(self.model)
        settled = before == self._graph
        if settled and step in self._without_effect:
            return self
        # some transformations return an ordinary model
        result = SettlingModel(apply(transformation, make_deepcopy, cleanup=False).model)
        after = content(result.model)
        if after != before or not settled:
            result.cleanup()
            after = content(result.model)
        result._graph = after
        if after == before:
            result._without_effect = (self._without_effect if settled else frozenset()) | {step}
        return result


_QUICKER: Mapping[type[Transformation], type[Transformation]] = {
    GiveReadableTensorNames: _ReadableTensorNames,
    InferShapes: _InferShapes,
}
"""What stands in for transformations."""

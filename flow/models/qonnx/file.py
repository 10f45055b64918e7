"""Reading and validation of QONNX files; no code of the file is run."""

import ast
import contextlib
import copy
import logging
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import NodeProto, TensorProto, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import (
    GiveUniqueParameterTensors,
    RemoveStaticGraphInputs,
    RemoveUnusedTensors,
)
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.quant_constant_folding import FoldTransposeIntoQuantInit

from flow.errors import Defect, UserError
from flow.models.qonnx import domains, qcdq, qoperator
from flow.models.qonnx.constants import FoldAllConstants
from flow.models.qonnx.tidy.edits import QUANTISERS, attribute
from flow.models.qonnx.tidy.rules import tidy
from flow.noise.site import layer_name
from flow.quiet import silenced_output

log = logging.getLogger(__name__)


def export_qonnx(network: torch.nn.Module, image_shape: tuple[int, int, int], path: Path) -> None:
    """Write a Brevitas network as QONNX.

    What torch's exporter cannot trace is given to its older exporter: the new one loses the type of
    Brevitas' quantised values in some residual networks (Xilinx/brevitas issue 1608).

    Args:
        network: in evaluation mode, without noise.
        image_shape: (H, W, C), of which the network may take signals or flat values.
        path: path of the file to write.

    Raises:
        Exception: of any kind, as the older exporter fails.
    """
    # takes seconds to import, and only Python networks need it
    from brevitas.export import export_qonnx as export

    # torch warns about torchvision's operators, which no network here has
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    image = torch.zeros(1, *own_shape(network, image_shape))
    # the exporters print their progress, and the whole graph where they fail
    with silenced_output():
        try:
            # a failed export leaves the network in the state of exporting
            export(copy.deepcopy(network), image, str(path))
        except Exception as error:
            log.info("torch's exporter fails (%s): its older one is used", _first_line(error))
            export(network, image, str(path), dynamo=False)


def own_shape(module: torch.nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the shape without a batch in which a module takes images (H, W, C).

    It takes images [C, H, W], signals of which one of the three is left out, or flat values, the
    first of these that it computes; images if none.
    """
    height, width, channels = image_shape
    shapes: list[tuple[int, ...]] = [(channels, height, width)]
    if height == 1:
        shapes.append((channels, width))
    if channels == 1:
        shapes.append((height, width))
    shapes.append((channels * height * width,))
    for shape in shapes:
        with contextlib.suppress(RuntimeError, ValueError, IndexError), torch.no_grad():
            module(torch.zeros(1, *shape))
            return shape
    return shapes[0]


@contextlib.contextmanager
def refusing(path: Path, what: str) -> Iterator[None]:
    """Turn what a foreign file makes the libraries raise into one message.

    A damaged file fails in any of them, at any place and with any exception.

    Args:
        path: the file.
        what: what cannot be done with it, as "read".

    Raises:
        UserError: anything was raised within; the cause is kept.
    """
    try:
        yield
    except (UserError, Defect):
        raise
    except Exception as error:
        raise UserError(
            f"{path} cannot be {what}: it is damaged, or uses its operators in a way that is not "
            f"supported ({type(error).__name__}: {_first_line(error)[:200]})"
        ) from error


def read(path: Path, *, classifies: bool = True) -> bytes:
    """Return a QONNX file's network, tidied: constants folded, shapes inferred, a batch of one.

    Nodes keep their names; a node without a name gets one.

    Args:
        path: the file.
        classifies: whether its outputs must be scores of classes.

    Returns:
        The tidied network, serialised.

    Raises:
        UserError: the file is missing or damaged, or is not a network with one input and one
            output, quantised by QONNX's operators; the message says what to do.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(f"cannot read the network {path}: {error.strerror}") from error
    with refusing(path, "read"):
        tidied, output = _read(path, state.st_mtime_ns, state.st_size)
    if classifies and len(output) != 2:
        raise UserError(
            f"{path} gives an output of shape {list(output)}, as an autoencoder or a segmentation "
            "does: only classifiers can be walked without a METRIC, with one score for each class, "
            "[N, classes], or a single score of two classes, [N, 1]"
        )
    return tidied


@lru_cache(maxsize=4)
def _read(path: Path, modified: int, size: int) -> tuple[bytes, Sequence[int]]:
    """Read a file, cached until it changes; return the network and the shape of its output."""
    try:
        proto = onnx.load_model_from_string(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise UserError(
            f"{path} is truncated or no ONNX file ({error}): export the network again"
        ) from error
    if not proto.graph.node or not proto.graph.output:
        raise UserError(f"{path} is empty or no ONNX file: export the network again")
    _reject_foreign(proto, path)
    qoperator.to_pairs(proto)
    domains.unify(proto, path)
    _reject_bad_constants(proto, path)
    _reject_bad_windows(proto, path)
    _one_image(proto, path)
    _say_once(proto)
    for number, node in enumerate(proto.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    model = ModelWrapper(proto)
    try:
        for step in (
            InferShapes(),
            GiveUniqueParameterTensors(),
            FoldAllConstants([*QUANTISERS, *qcdq.OPERATORS]),
            FoldTransposeIntoQuantInit(),
            RemoveUnusedTensors(),
            RemoveStaticGraphInputs(),
            InferShapes(),
        ):
            model = model.transform(step)
    except Exception as error:
        # onnx's checks raise exceptions of several libraries
        raise UserError(
            f"the shapes in {path} cannot be inferred ({_first_line(error)}): export the network "
            "again, for one image, with brevitas.export.export_qonnx"
        ) from error
    _check_shapes(model, path)
    model = tidy(qcdq.to_quantisers(model, path).transform(FoldTransposeIntoQuantInit()))
    _check_quantisers(model, path)
    output = model.get_tensor_shape(model.graph.output[0].name)
    return model.model.SerializeToString(deterministic=True), output


def _reject_foreign(proto: onnx.ModelProto, path: Path) -> None:
    """Refuse files that define functions, or have no quantisers."""
    if proto.functions:
        raise UserError(
            f"{path} defines functions of its own ({proto.functions[0].name}): export the network "
            "with brevitas.export.export_qonnx, which defines none"
        )


def _reject_bad_constants(proto: onnx.ModelProto, path: Path) -> None:
    for tensor in proto.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise UserError(
                f"{path} keeps {tensor.name} in another file: export the network into one file"
            )
        try:
            values = numpy_helper.to_array(tensor)
        except ValueError as error:
            raise UserError(
                f"{path} is damaged: {tensor.name} is incomplete ({error}); export it again"
            ) from error
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(
                f"{path}: {tensor.name} holds values that are not finite (NaN or infinity): the "
                "training has diverged, train the network again"
            )


def _reject_bad_windows(proto: onnx.ModelProto, path: Path) -> None:
    """Refuse strides and the like below 1, by which onnx's shape inference divides."""
    for node in proto.graph.node:
        for name in ("strides", "dilations", "kernel_shape", "group"):
            found = attribute(node, name, 1)
            sizes = found if isinstance(found, list) else [found]
            if not all(isinstance(size, int) and size >= 1 for size in sizes):
                raise UserError(f"{path} is damaged: {shown(node)} has {name} {found}")


def _one_image(proto: onnx.ModelProto, path: Path) -> None:
    """Set the batch to one image, whatever the file says, and drop the inferred shapes."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    if len(inputs) != 1 or len(proto.graph.output) != 1:
        raise UserError(
            f"{path} has {len(inputs)} inputs and {len(proto.graph.output)} outputs: give a "
            "network with one input, the images, and one output, the scores of the classes"
        )
    sizes = inputs[0].type.tensor_type.shape.dim
    if len(sizes) not in (2, 3, 4):
        raise UserError(
            f"{path} takes an input of {len(sizes)} dimensions: it must be images [N, C, H, W], "
            "signals [N, C, values] or flat [N, values]"
        )
    if any(size.dim_value < 1 for size in sizes[1:]):
        raise UserError(
            f"{path} leaves sizes of its input open, other than the batch: export it for images of "
            "a fixed size"
        )
    if sizes[0].dim_value != 1:
        sizes[0].dim_value = 1
        del proto.graph.value_info[:]
        proto.graph.output[0].type.tensor_type.ClearField("shape")


def _say_once(proto: onnx.ModelProto) -> None:
    """Keep one description of each stream: some tools repeat that of the outputs."""
    said = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    values = [value for value in proto.graph.value_info if value.name not in said]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend({value.name: value for value in values}.values())


def _check_shapes(model: ModelWrapper, path: Path) -> None:
    for node in model.graph.node:
        shape = model.get_tensor_shape(node.output[0])
        if not shape or any(size < 1 for size in shape):
            raise UserError(
                f"{path}: the output of {shown(node)} has no fixed shape ({shape}): export the "
                "network for one image of a fixed size"
            )
        if shape[0] != 1 and any(model.get_initializer(name) is None for name in node.input):
            is_weight = node.op_type in QUANTISERS and model.get_initializer(node.input[0])
            if is_weight is None:
                raise UserError(
                    f"{path}: {shown(node)} mixes the images of a batch (its output is "
                    f"{list(shape)}): export the network for a batch of one"
                )


def _check_quantisers(model: ModelWrapper, path: Path) -> None:
    if not any(node.op_type in QUANTISERS for node in model.graph.node):
        raise UserError(
            f"{path} has no quantisers: build the network of Brevitas' layers and export it with "
            "brevitas.export.export_qonnx, or round and limit its weights and activations"
        )


def module_of(node: NodeProto) -> str:
    """Return the path of the module that a node was exported from, or ""."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            scopes = ast.literal_eval(entry.value)
            return layer_name(next(_owners(scopes[:-1]), ""))
    return layer_name(next(_owners([_path_of(node.name.split("/")[:-1])]), ""))


def _path_of(scopes: list[str]) -> str:
    """Return a module's path from the older exporter's scopes: layer3, layer3.1, conv1.

    A child of a Sequential repeats the name of its parent.
    """
    path = last = ""
    for scope in filter(None, scopes):
        repeats = last and scope.startswith(f"{last}.")
        path += scope[len(last) :] if repeats else f".{scope}" if path else scope
        last = scope
    return path


def _owners(paths: list[str]) -> Iterator[str]:
    """Yield the paths of the user's modules, innermost first, without Brevitas' inner modules."""
    for path in reversed(paths):
        own = re.split(r"\.?\b(?:act|weight|input|output|trunc)_quant\b", path)[0]
        if own:
            yield own


def shown(node: NodeProto) -> str:
    """Return a node's name for messages: its name and operator, and its module if known."""
    module = module_of(node)
    return f"node {node.name} ({node.op_type}{f' of {module}' if module else ''})"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__

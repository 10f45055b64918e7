"""Custom networks in Python: ``path/to/file.py:factory``, exported to a QONNX file.

The factory is called once, in the process that the user started. After that the network is an
ordinary file, which other processes open without running the user's code.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from flow import data, user_code
from flow.errors import UserError, unknown
from flow.files import replacing
from flow.models.qonnx.file import export_qonnx
from flow.user_code import is_user_code, place, reason

KEPT = "pkg.torch.onnx.name_scopes"
"""Key of the modules' names in a node's metadata, the rest of which holds the user's paths."""


def exported(model: str, image_shape: tuple[int, int, int], root: Path) -> str:
    """Return a network's name, or the path of the QONNX file that a Python network is exported to.

    This runs the user's code.

    Args:
        model: ``file.py:factory``, where the factory takes nothing and returns a trained Brevitas
            module; any other name is returned unchanged.
        image_shape: (H, W, C) of the module's input images.
        root: folder for the files, which are named by their content.

    Raises:
        UserError: the factory does not exist or fails, or its module cannot be exported.
    """
    if not is_user_code(model):
        return model
    path, name = user_code.split(model)
    module = _module(_factory(path, name), model)
    return str(write_qonnx(module, model, f"{path.stem}-{name}", image_shape, root))


def write_qonnx(
    module: nn.Module, said: str, stem: str, image_shape: tuple[int, int, int], root: Path
) -> Path:
    """Export a trained Brevitas module to a QONNX file, and return the file's path.

    Args:
        module: the module, which is in evaluation mode afterwards.
        said: what messages call it.
        stem: name of the file without its ending.
        image_shape: (H, W, C) of the module's input images.
        root: folder for the files, in folders that are named by their content.

    Raises:
        UserError: the module cannot be exported.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "network.onnx"
        try:
            with torch.no_grad():
                export_qonnx(module.eval(), image_shape, file)
        except Exception as error:
            shape = "×".join(str(size) for size in image_shape)
            raise UserError(
                f"{said} cannot be exported to QONNX, for images of {shape}: {reason(error)}"
            ) from error
        content = _tidied(file)
    kept = root / hashlib.sha256(content).hexdigest()[:16] / f"{stem}.onnx"
    with replacing(kept) as temporary:
        temporary.write_bytes(content)
    return kept


def filed(options: Mapping[str, Any], build: Path) -> dict[str, Any]:
    """Return options whose Python network is exported to a file in the results folder.

    Args:
        options: options with ``model`` and ``dataset``, whose images the network takes.
        build: folder for results.

    Raises:
        UserError: as for `exported`.
    """
    model, dataset = options["model"], options["dataset"]
    if not is_user_code(model):
        return dict(options)
    if dataset is None:
        raise UserError(f"{model} is exported for the images of a data set: give one")
    return {**options, "model": exported(model, data.dataset(dataset).image_shape, build / "own")}


def _factory(path: Path, name: str):
    """Run a file and return a function that it defines."""
    module = user_code.run(path)
    functions = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
    if not callable(getattr(module, name, None)):
        raise unknown(f"function in {path}", name, functions)
    return getattr(module, name)


def _module(factory, model: str) -> nn.Module:
    try:
        module = factory()
    except Exception as error:
        raise UserError(f"{model} failed: {place(error, user_code.split(model)[0])}") from error
    if not isinstance(module, nn.Module):
        raise UserError(
            f"{model} returned a {type(module).__name__}: it must return a trained Brevitas module"
        )
    return module


def _tidied(path: Path) -> bytes:
    """Return an exported file without metadata that depends on the machine."""
    proto = onnx.load(str(path))
    for part in (*proto.graph.node, *proto.graph.value_info, proto.graph, proto):
        kept = [entry for entry in part.metadata_props if entry.key == KEPT]
        del part.metadata_props[:]
        part.metadata_props.extend(kept)
    return proto.SerializeToString(deterministic=True)

"""A user's own network in Python: ``path/to/file.py:factory`` → a QONNX file.

The factory is called once, in the process that the user started; from then on the network is a file
like any other, which other processes open without running the user's code.
"""

import hashlib
import importlib.util
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from flow import data
from flow.errors import UserError, unknown
from flow.files import replacing
from flow.models.qonnx.file import export_qonnx

KEPT = "pkg.torch.onnx.name_scopes"
"""Of what the exporter notes of a node: the names of modules. The rest holds the user's paths."""


def exported(model: str, image_shape: tuple[int, int, int], root: Path) -> str:
    """Return a network's name, and of one in Python the QONNX file that it is exported to.

    This runs the user's code.

    Args:
        model: ``file.py:factory``, where the factory takes nothing and returns a trained Brevitas
            module; anything else is returned as it is.
        image_shape: (H, W, C) of the images that the module takes.
        root: folder for the file, one a content.

    Raises:
        UserError: there is no such factory, it fails, or what it returns cannot be exported.
    """
    if not is_factory(model):
        return model
    path, _, name = model.rpartition(":")
    module = _module(_factory(Path(path), name), model)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "network.onnx"
        try:
            with torch.no_grad():
                export_qonnx(module.eval(), image_shape, file)
        except Exception as error:
            shape = "×".join(str(size) for size in image_shape)
            raise UserError(
                f"{model} cannot be exported to QONNX, for images of {shape}: {_reason(error)}"
            ) from error
        content = _tidied(file)
    kept = root / hashlib.sha256(content).hexdigest()[:16] / f"{Path(path).stem}-{name}.onnx"
    with replacing(kept) as temporary:
        temporary.write_bytes(content)
    return str(kept)


def filed(options: Mapping[str, Any], build: Path) -> dict[str, Any]:
    """Return options with a network in Python exported to a file in the folder for results.

    Args:
        options: with ``model`` and ``dataset``, whose images the network takes.
        build: folder for results.

    Raises:
        UserError: as for `exported`.
    """
    model, dataset = options["model"], options["dataset"]
    if not is_factory(model):
        return dict(options)
    return {**options, "model": exported(model, data.dataset(dataset).image_shape, build / "own")}


def is_factory(model: str) -> bool:
    """Whether a model is named as ``file.py:factory``."""
    return ".py:" in model


def _factory(path: Path, name: str):
    """Return the function of a file, having run the file."""
    if not path.is_file():
        raise UserError(f"there is no file {path}: correct the name before the colon")
    spec = importlib.util.spec_from_file_location(f"own_network_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # what lies beside the file may be imported by it, as if it were run itself
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{path} cannot be run: {_place(error)}") from error
    finally:
        sys.path.pop(0)
    functions = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
    if not callable(getattr(module, name, None)):
        raise unknown(f"function in {path}", name, functions)
    return getattr(module, name)


def _module(factory, model: str) -> nn.Module:
    try:
        module = factory()
    except Exception as error:
        raise UserError(f"{model} failed: {_place(error)}") from error
    if not isinstance(module, nn.Module):
        raise UserError(
            f"{model} returned a {type(module).__name__}: it must return a trained Brevitas module"
        )
    return module


def _place(error: Exception) -> str:
    """Return the last line of a traceback and its place, for people."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}, line {frames[-1].lineno}: {_reason(error)}"


def _reason(error: Exception) -> str:
    lines = str(error).strip().split("\n")
    return f"{type(error).__name__}: {lines[0]}"


def _tidied(path: Path) -> bytes:
    """Return an exported file without what changes from place to place."""
    proto = onnx.load(str(path))
    for part in (*proto.graph.node, *proto.graph.value_info, proto.graph, proto):
        kept = [entry for entry in part.metadata_props if entry.key == KEPT]
        del part.metadata_props[:]
        part.metadata_props.extend(kept)
    return proto.SerializeToString(deterministic=True)

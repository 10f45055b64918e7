"""Networks in Python, ``path/to/file.py:factory`` or ``brevitas:NAME``, exported to a QONNX file.

The factory is called once, in the process that the user started. After that the network is an
ordinary file, which other processes open without running the user's code.
"""

import hashlib
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from flow import data, user_code
from flow.errors import OptionError, UserError
from flow.files import replacing
from flow.models.qonnx import brevitas_networks
from flow.models.qonnx.fake_quantisers import as_arithmetic, evaluating, is_converted
from flow.models.qonnx.file import export_qonnx, own_shape
from flow.models.qonnx.network import open_network
from flow.user_code import is_user_code, place, reason

log = logging.getLogger(__name__)

COMPARED = 16
"""Random images by which a file is compared with its module."""
MOST_OTHER = 2
"""Largest number of them whose label may be another, because float32 rounds otherwise."""
OPTIONS = ("model", "dataset", "weights", "shape")
"""Options that a network in Python is made from."""

KEPT = "pkg.torch.onnx.name_scopes"
"""Key of the modules' names in a node's metadata, the rest of which holds the user's paths."""


def is_python(model: str) -> bool:
    """Whether a network is made by code, and exported before it is used."""
    return is_user_code(model) or model.startswith(brevitas_networks.PREFIX)


def exported(
    model: str, image_shape: tuple[int, int, int], root: Path, weights: Path | None = None
) -> str:
    """Return a network's name, or the path of the QONNX file that a Python network is exported to.

    This runs the user's code.

    Args:
        model: ``file.py:factory``, where the factory takes nothing and returns a trained Brevitas
            module, or ``brevitas:NAME``; any other name is returned unchanged. torch's random
            numbers have a fixed seed meanwhile.
        image_shape: (H, W, C) of the module's input images.
        root: folder for the files, which are named by their content.
        weights: file of weights to load into the network.

    Raises:
        UserError: the factory does not exist or fails, the weights are of another network, or the
            module cannot be exported.
    """
    if not is_python(model):
        return model
    with torch.random.fork_rng(devices=[]):
        # random weights are the same in the next run, which finds what this one has built
        torch.manual_seed(0)
        if is_user_code(model):
            path, name = user_code.split(model)
            module, stem = _module(user_code.function(model), model), f"{path.stem}-{name}"
        else:
            stem = model.removeprefix(brevitas_networks.PREFIX)
            module = brevitas_networks.build(stem)
            if weights is None:
                log.warning(
                    "%s has random weights: give trained ones with the option weights", model
                )
    if weights is not None:
        brevitas_networks.load_weights(module, weights)
    return str(write_qonnx(module, model, stem, image_shape, root))


def write_qonnx(
    module: nn.Module, said: str, stem: str, image_shape: tuple[int, int, int], root: Path
) -> Path:
    """Export a trained module to a QONNX file, and return the file's path.

    Args:
        module: the module, which is in evaluation mode afterwards.
        said: what messages call it.
        stem: name of the file without its ending.
        image_shape: (H, W, C) of the module's input images.
        root: folder for the files, in folders that are named by their content.

    Raises:
        UserError: the module cannot be exported.
    """
    module = as_arithmetic(evaluating(module))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "network.onnx"
        try:
            with torch.no_grad():
                export_qonnx(module, image_shape, file)
        except Exception as error:
            shown = "×".join(str(size) for size in image_shape)
            advice = (
                "; return the module that torch prepared for quantisation-aware training, before "
                "its convert"
            )
            raise UserError(
                f"{said} cannot be exported to QONNX, for images of {shown}: {reason(error)}"
                f"{advice if is_converted(module) else ''}"
            ) from error
        content = _tidied(file)
    kept = root / hashlib.sha256(content).hexdigest()[:16] / f"{stem}.onnx"
    with replacing(kept) as temporary:
        temporary.write_bytes(content)
    _compare(module, kept, said, own_shape(module, image_shape))
    return kept


def _compare(module: nn.Module, path: Path, said: str, shape: tuple[int, ...]) -> None:
    """Warn if a file gives other labels than the module that it was exported from.

    Some quantisers of Brevitas, as those of A2Q, are exported as ones that round otherwise.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((COMPARED, *shape), generator=generator) * 2 - 1
    try:
        network = open_network(path)
    except UserError:
        # whoever opens the file is told
        return
    lying = network.from_own_layout(images.numpy())
    with torch.no_grad():
        # an exported graph may take single images alone
        each = [module(image[None]) for image in images]
        ours = network(images if lying is None else lying)
    theirs = torch.cat([getattr(one, "value", one) for one in each])
    if theirs.shape != ours.shape:
        return
    other = int((theirs.argmax(1) != ours.argmax(1)).sum())
    if other > MOST_OTHER:
        log.warning(
            "%s was exported to a file that labels %d of %d random images differently from "
            "the module: one of its quantisers has no counterpart in QONNX. The file is walked",
            said, other, COMPARED,
        )  # fmt: skip


def filed(options: Mapping[str, Any], build: Path) -> dict[str, Any]:
    """Return options whose Python network is exported to a file in the results folder.

    Args:
        options: options with ``model`` and ``dataset``, whose images the network takes; and
            perhaps ``weights``, and ``shape`` of the images where no data set says it, which are
            None afterwards.
        build: folder for results.

    Raises:
        UserError: as for `exported`; or nothing says the shape of the images.
    """
    model, dataset = options["model"], options["dataset"]
    if not is_python(model):
        return dict(options)
    found = None if dataset is None else data.dataset(dataset).image_shape
    given = options.get("shape")
    if given is not None:
        channels, height, width = image_shape(given)
        if found not in (None, (height, width, channels)):
            raise OptionError("shape", f"is {given}, but {dataset} has images of another shape")
        found = height, width, channels
    if found is None:
        raise UserError(
            f"{model} is exported for images of one shape: give it as 3,32,32, or a data set"
        )
    spent = {name: None for name in ("weights", "shape") if name in options}
    weights = options.get("weights")
    file = exported(model, found, build / "own", None if weights is None else Path(weights))
    return {**options, **spent, "model": file}


def image_shape(text: str) -> tuple[int, int, int]:
    """Read the shape of images, ``C,H,W``, of signals, ``C,values``, or of flat ``values``.

    Returns:
        Channels, height and width.

    Raises:
        OptionError: it is not one to three whole numbers above 0.
    """
    parts = text.replace("x", ",").split(",")
    if len(parts) > 3 or not all(part.strip().isdigit() and int(part) for part in parts):
        raise OptionError(
            "shape",
            f"is {text}: write channels, height and width as 3,32,32, channels and values of a "
            "signal as 10,49, or the number of values as 16",
        )
    *channels, width = map(int, parts)
    return (channels or [1])[0], (channels[1:] or [1])[0], width


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

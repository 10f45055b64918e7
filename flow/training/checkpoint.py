"""Checkpoints: a trained network in one small safetensors file.

A quantised weight is stored as the integer it stands for, in as many bits as it has (but at least
two), everything else (batch norm, learned scales) as it is. A loaded network gives exactly the
outputs of the one saved. Nothing is unpickled, and a file is written under a temporary name and
renamed.
"""

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from flow import models
from flow.errors import UserError
from flow.models import Network
from flow.models.network import QuantWeightBiasInputOutputLayer
from flow.statistics.intervals import share
from flow.training.paper import RecipeName

_KEY = "noisewalk"
_FORMAT = 2


@dataclass(frozen=True)
class Metadata:
    """Metadata of a checkpoint."""

    model: str
    dataset: str
    noise: dict[str, Any] | None
    """The noise of training, as `Noise.to_json` gives it, at every site of a walk."""
    epochs: int
    seed: int
    accuracy: float
    """Share of test images labelled rightly, without noise, 0..1."""
    n: int
    """Test images behind the accuracy."""
    noisy_accuracy: float | None = None
    """The same with the noise of training, one draw for each image."""
    start: str | None = None
    """Checkpoint file with the initial weights of the training; None for random ones."""
    noise_by_site: dict[str, dict[str, Any]] | None = None
    """The noise of training, if it was not the same at every site."""
    spread: float = 0.0
    """By how much its σ changed from step to step."""
    recipe: RecipeName | None = None
    """Recipe of the training, such as ``paper``; None for the network's own."""

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        _, low, high = share(round(self.accuracy * self.n), self.n)
        return low, high


def _quantised(network: Network) -> dict[str, QuantWeightBiasInputOutputLayer]:
    return {
        f"{name}.weight": module
        for name, module in network.named_modules()
        if isinstance(module, QuantWeightBiasInputOutputLayer)
    }


def _bits(layer: QuantWeightBiasInputOutputLayer) -> int:
    """Return the bits of a stored weight: +1 and -1 take two."""
    return max(2, int(layer.quant_weight().bit_width))


def _packed(integers: Tensor, bits: int) -> Tensor:
    """Return integers of any shape in two's complement, lowest bit first, as uint8 [bytes]."""
    flat = integers.round().to(torch.int64).flatten().numpy()
    planes = (flat[:, np.newaxis] >> np.arange(bits)) & 1
    return torch.from_numpy(np.packbits(planes.astype(np.uint8), bitorder="little"))


def _unpacked(packed: Tensor, bits: int, shape: torch.Size) -> Tensor:
    """Undo `_packed`: float32 of this shape; RuntimeError if bytes lack or are too many."""
    needed = (shape.numel() * bits + 7) // 8
    if packed.dtype != torch.uint8 or packed.shape != (needed,):
        raise RuntimeError(f"a weight of {packed.numel()} bytes, where {needed} are needed")
    planes = np.unpackbits(packed.numpy(), bitorder="little", count=shape.numel() * bits)
    weights = 1 << np.arange(bits)
    weights[-1] *= -1
    integers = planes.reshape(-1, bits).astype(np.int8) @ weights.astype(np.int8)
    return torch.from_numpy(integers.astype(np.float32)).reshape(shape)


def save(network: Network, path: Path, metadata: Metadata) -> Path:
    """Write a network.

    Args:
        network: network to save, in any mode.
        path: where to; the folder is made.
        metadata: metadata of the network.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {name: value.detach().clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for name, layer in _quantised(network).items():
            quantised = layer.quant_weight()
            integers = quantised.value / quantised.scale + quantised.zero_point
            tensors[name] = _packed(integers, _bits(layer))
    header = {
        "format": _FORMAT,
        **asdict(metadata),
        "image_shape": network.image_shape,
        "classes": network.classes,
        "zero_to_one": network.zero_to_one,
        "digest": _digest(tensors),
    }
    write_tensors(tensors, path, {_KEY: json.dumps(header)})
    return path


def load(path: Path, expect_model: str | None = None) -> tuple[Network, Metadata]:
    """Read a network, in evaluation mode, and what the file says about it.

    Args:
        path: the file.
        expect_model: the network it must hold, a full or short name; any by default.

    Raises:
        UserError: the file is missing, corrupt, truncated, or holds another network.
    """
    tensors, fields = read_tensors(path)
    try:
        header = json.loads(fields[_KEY])
        if header["format"] != _FORMAT:
            raise UserError(
                f"{path} is of format {header['format']}, not {_FORMAT}: train it again"
            )
        metadata = Metadata(
            **{key: header[key] for key in Metadata.__dataclass_fields__ if key in header}
        )
        height, width, channels = header["image_shape"]
        classes, digest = header["classes"], header["digest"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a checkpoint of this program: {error!r}") from error
    if metadata.model not in models.names():
        raise UserError(f"{path} holds the network {metadata.model}, which this program lacks")
    if expect_model is not None and metadata.model != models.resolve(expect_model):
        raise UserError(
            f"{path} holds the network {metadata.model}, not {models.resolve(expect_model)}:"
            " give its own checkpoint, or name the model it holds"
        )
    if digest != _digest(tensors):
        raise UserError(f"{path} is corrupt: its contents do not match its digest")
    with torch.random.fork_rng(devices=[]):
        network = models.build(metadata.model, (height, width, channels), classes)
    if header.get("zero_to_one"):
        network.zero_to_one = True
    _restore(network, tensors, path)
    return network.eval(), metadata


def load_into(network: Network, path: Path) -> None:
    """Give a network of the same form the weights of a checkpoint.

    Raises:
        UserError: the file is missing, corrupt or truncated, or is of another network.
    """
    _restore(network, read_tensors(path)[0], path)


def _restore(network: Network, tensors: dict[str, Tensor], path: Path) -> None:
    layers = _quantised(network)
    state = {name: t for name, t in tensors.items() if name not in layers}
    try:
        network.load_state_dict({**network.state_dict(), **state}, strict=True)
        if missing := network.state_dict().keys() - tensors.keys():
            raise RuntimeError(f"missing {', '.join(sorted(missing))}")
        with torch.no_grad():
            for name, layer in layers.items():
                integers = _unpacked(tensors[name], _bits(layer), layer.weight.shape)
                layer.weight.copy_(integers * layer.quant_weight().scale)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit the network {network.name}: {error}") from error


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    """Hash a checkpoint file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_tensors(tensors: dict[str, Tensor], path: Path, fields: dict[str, str]) -> None:
    """Write a safetensors file so that a reader sees all of it or nothing.

    Raises:
        UserError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.cpu().contiguous() for k, v in tensors.items()}, temporary, fields)
        # safetensors makes it readable by its owner alone, which an installed package must not be
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UserError(f"cannot write {path}: {error}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the text fields of a safetensors file.

    Raises:
        UserError: the file is missing, corrupt or truncated.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}: correct the name, or train it")
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, struct.error) as error:
        raise UserError(
            f"{path} is corrupt or truncated ({error}): delete it and fetch or train it again"
        ) from error

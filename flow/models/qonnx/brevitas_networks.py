"""The networks of Brevitas' own examples, ``brevitas:NAME``, and weights from a file."""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from flow.errors import OptionError, unknown

PREFIX = "brevitas:"
_MODULES = (
    "brevitas_examples.bnn_pynq.models",
    "brevitas_examples.imagenet_classification.models",
)
_UNTRAINED = {"pretrained": False, "float_pretrained": False}
"""Arguments that keep a factory from downloading weights."""


def names() -> list[str]:
    """Return the name of every network, as ``cnv_2w2a``."""
    return sorted(_factories())


def build(name: str) -> nn.Module:
    """Make a network of Brevitas' examples, with random weights.

    Args:
        name: name of the factory in ``brevitas_examples``.

    Raises:
        UserError: there is no such network.
    """
    found = _factories()
    if name not in found:
        raise unknown("network of Brevitas", name, list(found))
    factory = found[name]
    given = inspect.signature(factory).parameters
    return factory(**{key: value for key, value in _UNTRAINED.items() if key in given})


def _factories() -> dict[str, Callable[..., nn.Module]]:
    """Return the functions that make a network, by name: those that could load weights."""
    found: dict[str, Callable[..., nn.Module]] = {}
    for module in map(importlib.import_module, _MODULES):
        for name, one in inspect.getmembers(module, inspect.isfunction):
            parameters = inspect.signature(one).parameters
            required = [p for p in parameters.values() if p.default is inspect.Parameter.empty]
            if _UNTRAINED.keys() & parameters.keys() and not required:
                found[name] = one
    return found


def load_weights(network: nn.Module, file: Path) -> None:
    """Load weights into a network.

    Args:
        network: the network; all its parameters and statistics must be in the file.
        file: safetensors, or a state dict that torch saved; nothing else in it is executed. A state
            dict under the key ``state_dict``, and names that begin with ``module.``, are taken too.

    Raises:
        OptionError: the file cannot be read, or is of another network.
    """
    state = _state(file)
    shared = "module."
    if state and all(key.startswith(shared) for key in state):
        state = {key.removeprefix(shared): value for key, value in state.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).strip().split("\n")[1:2] or [str(error)]
        raise OptionError(
            "weights", f"is {file}, whose weights are of another network ({first[0].strip()[:200]})"
        ) from error


def _state(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise OptionError(
            "weights", f"is {file}, which cannot be read: {error.strerror}"
        ) from error
    except Exception as error:
        # pickles and safetensors raise exceptions of several libraries
        said = str(error).strip().split("\n")[0][:150]
        raise OptionError(
            "weights", f"is {file}, which is no state dict: {said or type(error).__name__}"
        ) from error
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise OptionError("weights", f"is {file}, which holds no state dict: save net.state_dict()")
    return found

"""Kinds of noise in a user's own file: how they are loaded, checked, made and run.

Whatever is wrong with the file is a `flow.errors.UserError` with the line where it is.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flow import user_code
from flow.errors import UserError, unknown
from flow.noise.origin import Origin, shortened
from flow.noise.samplers import Source

if TYPE_CHECKING:
    from flow.noise.base import Noise


def load(kind: str, base: "type[Noise]") -> "type[Noise]":
    """Return a class of ``file.py:MyNoise``, whose file is run once for its content.

    Args:
        kind: file and class.
        base: the class that it must be derived from, `flow.noise.Noise`.

    Raises:
        UserError: the file fails or has no such class.
    """
    written, name = user_code.split(kind)
    path = shortened(written)
    found = _content(path, _digest(path))
    classes = {
        n: value
        for n, value in found.items()
        if isinstance(value, type) and issubclass(value, base) and value.origin is not None
    }
    if name in classes:
        return classes[name]
    if name in found:
        raise UserError(f"{name} in {path} is not a class derived from flow.noise.Noise")
    if not classes:
        raise UserError(f"{path} has no class derived from flow.noise.Noise: write {name}")
    raise unknown(f"class in {path}", name, classes)


def _digest(path: Path) -> str:
    """Hash the files behind a user's kind, comments included: line numbers are in messages."""
    digest = hashlib.sha256(str(Path.cwd()).encode())
    for file in user_code.files_of(path):
        digest.update(str(file).encode() + file.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=64)
def _content(path: Path, digest: str) -> Mapping[str, Any]:
    """Run a user's file, once for its digest, and return what it defines."""
    return vars(user_code.run(path))


def check(made: "type[Noise]", origin: Origin, base: "type[Noise]") -> None:
    """Raise a UserError if a user's class cannot be a kind, whatever its name.

    Args:
        made: the class.
        origin: where it is written.
        base: the class that it is derived from, `flow.noise.Noise`.
    """
    if not origin.code:
        raise UserError(f"the code of {origin} cannot be read: write the class in a file")
    if made.once is base.once:
        raise UserError(
            f"{origin} has no method once(self, y, source), which returns y with noise: write it"
        )
    if "__dataclass_fields__" not in vars(made):
        raise UserError(
            f"{origin} is not a dataclass: write @dataclass(frozen=True) above the class"
        )
    names, known = ({one.name for one in fields(one) if one.init} for one in (made, base))
    taken = (names - known) & {"kind", *dir(base)}
    if taken:
        name = min(taken)
        raise UserError(
            f"{origin} has a field {name}, which every kind has: rename it, or write it without a "
            f"type, as in {name} = …"
        )


def make(made: "type[Noise]", given: Mapping[str, Any]) -> "Noise":
    """Return noise of a user's class.

    Raises:
        UserError: the class does not take the fields, or has one that cannot be written as JSON.
    """
    try:
        noise = made(**given)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{made.origin} cannot be made: {_place(error, made)}") from error
    try:
        json.dumps(noise.to_json(), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{made.origin} has a field that JSON cannot hold: {user_code.reason(error)}; give it "
            "numbers, texts and lists, and the rest field(compare=False)"
        ) from error
    return noise


def once(noise: "Noise", y: Tensor, source: Source) -> Tensor:
    """Return what a user's code makes of y.

    Args:
        noise: of a user's class.
        y: the clean values, float [N, C] or [N, C, H, W]; of a weight site, the weights.
        source: the samples for these values.

    Raises:
        UserError: the code fails, does not return values like y, or draws from torch's global
            generator, whose samples are not those of the seed.
    """
    generators = _generators(y.device)
    try:
        # a copy, because code that changes it in place would change y at other levels too
        noisy = noise.once(y.clone(), source)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{noise.origin} failed: {_place(error, type(noise))}") from error
    if not isinstance(noisy, Tensor) or noisy.shape != y.shape or not noisy.is_floating_point():
        shape = list(getattr(noisy, "shape", ()))
        raise UserError(
            f"{noise.origin} returned a {type(noisy).__name__} of shape {shape}: once must "
            f"return floats of y's shape, {list(y.shape)}"
        )
    if not all(map(torch.equal, generators, _generators(y.device))):
        raise UserError(
            f"{noise.origin} draws random numbers from torch, which do not follow the seed: "
            "take them from source"
        )
    return noisy


def _generators(device: torch.device) -> list[Tensor]:
    """Return the states of torch's global generators: the processor's, and a device's own."""
    states = [torch.random.get_rng_state()]
    own = getattr(torch.get_device_module(device), "get_rng_state", None)
    return states if device.type == "cpu" or own is None else [*states, own()]


def _place(error: Exception, made: "type[Noise]") -> str:
    """Return an error with the line of a user's class where it happened."""
    file = getattr(made.once, "__code__", None)
    return user_code.place(error, file and Path(file.co_filename))

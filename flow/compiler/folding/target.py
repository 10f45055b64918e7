"""Target of the folding: cycles per image, a frame rate, or a FINN folding file."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow.errors import UserError

NOMINAL_MHZ = 200.0
"""Clock of the accelerator for frame rates, unless it is for a board, whose clock is known."""

Nodes = Mapping[str, Mapping[str, Any]]
"""Content of a folding file: node name → attribute → value; under ``Defaults``, attribute →
[value, [operators], value, [operators], …], where the operators may be "all"."""

DEFAULTS = "Defaults"


@dataclass(frozen=True)
class Target:
    """Target of the folding: one of the first three fields, or none for the default.

    Raises:
        UserError: more than one target is given, or an impossible one.
    """

    cycles: int | None = None
    """Cycles per image."""
    fps: float | None = None
    """Images per second."""
    nodes: Nodes | None = None
    """Content of a folding file; nodes that it does not name get the default."""
    mhz: float = NOMINAL_MHZ
    """Clock of the accelerator, for ``fps``."""

    def __post_init__(self) -> None:
        given = [name for name in ("cycles", "fps", "nodes") if getattr(self, name) is not None]
        if len(given) > 1:
            names = " and ".join(name.replace("nodes", "folding") for name in given)
            raise UserError(f"{names} are given: the folding has one target, choose one")
        if self.cycles is not None and self.cycles < 1:
            raise UserError(f"cycles is {self.cycles}: give 1 or more")
        if self.fps is not None and not (math.isfinite(self.fps) and 0 < self.fps <= self._hz):
            raise UserError(
                f"fps is {self.fps:g}: give a number of images per second above 0, and at most the "
                f"clock's {self._hz:g}"
            )

    @property
    def most_cycles(self) -> int | None:
        """Largest number of cycles per image; None for the default."""
        return self.cycles if self.fps is None else int(self._hz / self.fps)

    @property
    def _hz(self) -> float:
        return 1e6 * self.mhz


def read(path: Path) -> Nodes:
    """Read a folding file, in the JSON format of FINN's ``folding_config_file``.

    Raises:
        UserError: the file cannot be read, or has another form.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read the folding file {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"the folding file {path} is not JSON: {error}") from None
    form = '{"node": {"PE": 4, "SIMD": 8}}'
    if not isinstance(content, dict):
        raise UserError(f"the folding file {path} holds no object: it must look like {form}")
    for name, entry in content.items():
        if not isinstance(entry, dict):
            raise UserError(
                f"the folding file {path}, node {name}: {json.dumps(entry)} is not an object: it "
                f"must look like {form}"
            )
    return content


def wanted(nodes: Nodes, name: str, operator: str) -> dict[str, Any]:
    """Return the attributes of one node in a folding file, including defaults.

    Args:
        nodes: content of the file.
        name: name of the node.
        operator: type of the node, without ``_rtl``.

    Raises:
        UserError: a default has another form.
    """
    found = {}
    for attribute, pairs in nodes.get(DEFAULTS, {}).items():
        if not isinstance(pairs, list) or len(pairs) % 2:
            raise UserError(
                f"the folding's default of {attribute} is {json.dumps(pairs)}: it must look like "
                '[4, ["MVAU_rtl"]] or [4, "all"]'
            )
        for value, operators in zip(pairs[::2], pairs[1::2], strict=True):
            if operators == "all" or operator in operators or f"{operator}_rtl" in operators:
                found[attribute] = value
    return found | dict(nodes.get(name, {}))

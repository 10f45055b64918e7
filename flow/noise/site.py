"""Names of the places where noise enters a network."""

import re
from collections.abc import Iterable
from typing import Self

INPUT = "input"
GLOBAL = "global"
"""Stands where a site's name does for noise at every default site of the network together."""
MAP = "map"
"""Stands where a site's name does for the noise of a whole noise map."""
JOINT = (GLOBAL, MAP)
"""Names of several sites that are noisy together."""
_NAMES = re.compile(r"[A-Za-z]\w*(\.\w+)*")


def layer_name(path: str) -> str:
    """Return a module's path if it can name a quantised layer; a mere number cannot."""
    return path if _NAMES.fullmatch(path) and path != INPUT else ""


class Site(str):
    """Name of a place where noise enters, such as ``conv0.acc``: a layer and a kind of value.

    Kinds of the quantised networks: ``acc``, the accumulator stream of a layer, or ``tile``, the
    stream of its tiles' partial sums; ``act``, the stream downstream of its activation and pooling;
    ``weight``, its weights; and ``input``, the quantised images, which has no layer.
    """

    __slots__ = ()

    @classmethod
    def of(cls, layer: str, kind: str) -> Self:
        """Return the site of a layer and a kind."""
        return cls(f"{layer}.{kind}")

    @property
    def layer(self) -> str:
        """Path of the layer; empty for ``input``."""
        return self.rpartition(".")[0]

    @property
    def kind(self) -> str:
        """Kind of noisy value: ``acc``, ``tile``, ``act``, ``weight`` or ``input``."""
        return self.rpartition(".")[2]

    @property
    def is_accumulator(self) -> bool:
        """Whether the noise is on a layer's accumulators: the noisy computation itself.

        In a layer with several tiles or planes it is on their partial sums.
        """
        return bool(self.layer) and self.kind in ("acc", "tile")

    @property
    def is_tile(self) -> bool:
        """Whether the noise is on the partial sums of a layer's tiles or planes."""
        return bool(self.layer) and self.kind == "tile"

    @property
    def is_activation(self) -> bool:
        """Whether the noise is on a layer's activations."""
        return bool(self.layer) and self.kind == "act"

    @property
    def is_weight(self) -> bool:
        """Whether the noise is on a layer's weights."""
        return bool(self.layer) and self.kind == "weight"

    def accumulator(self, sites: Iterable[str]) -> Self:
        """Return the accumulator site of the same layer, which is one of these sites."""
        own = [one for one in map(type(self), sites) if one.layer == self.layer]
        return next(one for one in own if one.is_accumulator)

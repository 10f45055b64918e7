"""Base class of all kinds of noise: levels, executions, a name, and conversion to JSON."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self, get_args

from torch import Tensor

from flow.errors import UserError, unknown
from flow.noise.samplers import Source
from flow.noise.site import Site

Order = Literal["mul-add", "add-mul"]
ORDERS: tuple[str, ...] = get_args(Order)
MOST_EXECUTIONS = 64

_CLASSES: dict[str, type["Noise"]] = {}
"""Class of each kind by the kind's name, in the order of definition."""


@dataclass(frozen=True)
class Noise:
    """Noise at one site; each subclass is a kind.

    Raises:
        UserError: a σ is negative, infinite or not a number, or the kind does not have it.
    """

    kind: ClassVar[str]
    adds: ClassVar[bool] = True
    """Whether the kind has σₐ."""
    multiplies: ClassVar[bool] = True
    """Whether the kind has σₘ."""
    shared: ClassVar[bool] = False
    """Whether all images of a noise draw share their noise."""

    sigma_add: float = 0.0
    """σₐ, in the unit of the layer's output."""
    sigma_mul: float = 0.0
    """σₘ, dimensionless."""
    executions: int = 1
    """Number of executions of the layer, each with new z₁ and z₂; y' is their mean."""

    def __init_subclass__(cls) -> None:
        """Register the kind by its name."""
        _CLASSES[cls.kind] = cls

    def __post_init__(self) -> None:
        if type(self) is Noise:
            raise TypeError("make noise of a kind, as Noise.at does")
        for name, sigma, has in (
            ("additive", self.sigma_add, self.adds),
            ("multiplicative", self.sigma_mul, self.multiplies),
        ):
            if not (math.isfinite(sigma) and sigma >= 0):
                raise UserError(
                    f"the {name} noise level is {sigma}: give a finite number of 0 or more"
                )
            if sigma and not has:
                raise UserError(f"{self.kind} noise has no {name} level: use kind 'mixed'")
        if not 1 <= self.executions <= MOST_EXECUTIONS:
            raise UserError(
                f"a layer is executed {self.executions} times: give 1 to {MOST_EXECUTIONS}"
            )

    @staticmethod
    def at(
        kind: str, sigma: float, ratio: float = 0.5, order: str = "mul-add", **options: Any
    ) -> "Noise":
        """Make noise of any kind at one level.

        Args:
            kind: one of `flow.noise.KINDS`.
            sigma: σ; for kinds with σₐ and σₘ the amplitude A.
            ratio: r, with σₐ = A·r and σₘ = A·(1−r).
            order: order of mixed noise, ``mul-add`` or ``add-mul``.
            options: further fields of the kind's class; None means not given.

        Raises:
            UserError: as for the class; or the kind or order is unknown, the ratio lies outside
                0..1, or the kind has no such option.
        """
        made = _class_of(kind)
        if order not in ORDERS:
            raise unknown("noise order", order, ORDERS)
        if not 0 <= ratio <= 1:
            raise UserError(f"the noise ratio is {ratio}: give a number from 0 to 1")
        given = {name: value for name, value in options.items() if value is not None}
        for name in given:
            if name not in Noise.options_of(kind):
                raise UserError(f"{kind} noise has no {name.replace('_', ' ')}: leave it out")
        if "order" in _names(made):
            given["order"] = order
        if made.adds:
            given["sigma_add"] = sigma * ratio if made.multiplies else sigma
        if made.multiplies:
            given["sigma_mul"] = sigma * (1 - ratio) if made.adds else sigma
        return made(**given)

    @staticmethod
    def options_of(kind: str) -> set[str]:
        """Return the names of a kind's options."""
        return _names(_class_of(kind)) - {"sigma_add", "sigma_mul", "order"}

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> "Noise":
        """Make the noise that `to_json` described.

        Raises:
            UserError: as for the class, or the content of a file that the noise reads has changed.
        """
        made = _class_of(told["kind"])
        noise = made(**{name: told[name] for name in _names(made) if name in told})
        for name in noise.to_json().keys() - _names(made) - {"kind"}:
            if told.get(name) != getattr(noise, name):
                raise UserError(
                    f"the {name} of {noise} is not {told.get(name)}, which was written down: bring "
                    "its file back as it was"
                )
        return noise

    def to_json(self) -> dict[str, Any]:
        """Return the kind and every field that distinguishes two noises."""
        told = [one.name for one in fields(self) if one.compare]
        return {"kind": self.kind, **{name: getattr(self, name) for name in told}}

    @property
    def name(self) -> str:
        """Short name for files: ``additive-4``, ``mixed-1-2-add-mul``; with a hash if longer."""
        if self.silent:
            return "clean"
        both = self.adds and self.multiplies
        levels = [f"{sigma:g}" for sigma in (self.sigma_add, self.sigma_mul) if sigma or both]
        common = Noise.__dataclass_fields__
        own = {
            key: value
            for key, value in self.to_json().items()
            if key not in (*common, "kind", "file") and value is not None
        }
        extra = [] if own in ({}, {"order": "mul-add"}) else [_short(own)]
        if self.executions > 1:
            extra.append(f"x{self.executions}")
        return "-".join([self.kind, *levels, *extra])

    def scaled(self, factor: float) -> Self:
        """Return the same noise with σ multiplied by a factor."""
        return replace(self, sigma_add=self.sigma_add * factor, sigma_mul=self.sigma_mul * factor)

    @property
    def silent(self) -> bool:
        """Whether the noise leaves every value unchanged."""
        return self.sigma_add == 0 and self.sigma_mul == 0

    @property
    def averages(self) -> bool:
        """Whether the mean of k executions is distributed as one execution with σ/√k."""
        return True

    def apply(self, y: Tensor, source: Source) -> Tensor:
        """Return y with noise, or y itself if the noise is silent.

        Args:
            y: the clean values, float [N, C] or [N, C, H, W].
            source: the samples for these values.
        """
        if self.silent:
            return y
        total = self.once(y, source)
        for number in range(1, self.executions):
            total = total + self.once(y, source.of_execution(number))
        return total / self.executions if self.executions > 1 else total

    def once(self, y: Tensor, source: Source) -> Tensor:
        """Return y with the noise of one execution."""
        raise NotImplementedError


def shared_by_images(site: str, kind: str) -> bool:
    """Return whether all images of a noise draw share their noise, so that a draw is a device.

    Args:
        site: the site, such as ``fc0.weight``.
        kind: one of `flow.noise.KINDS`.
    """
    return Site(site).is_weight or _class_of(kind).shared


def kinds() -> tuple[str, ...]:
    """Return the names of the kinds."""
    return tuple(_CLASSES)


def _class_of(kind: str) -> type[Noise]:
    if kind not in _CLASSES:
        raise unknown("noise", kind, _CLASSES)
    return _CLASSES[kind]


def _names(made: type[Noise]) -> set[str]:
    """Return the names of the fields of a kind's class."""
    return {one.name for one in fields(made) if one.init}


def _short(own: Mapping[str, Any]) -> str:
    """Return the values of a few fields, or their hash if they are long."""
    plain = "-".join(
        f"{value:g}" if isinstance(value, float) else str(value) for value in own.values()
    )
    if len(plain) <= 40:
        return plain
    return hashlib.sha256(json.dumps(dict(own), sort_keys=True).encode()).hexdigest()[:12]

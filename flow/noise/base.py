"""Base class of all kinds of noise: levels, executions, a name, and conversion to JSON.

Kinds are open. A subclass in this package is a kind that is known by its name; a subclass in a
user's own file is known as ``file.py:MyNoise``. Results name both by `Noise.kind`.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self, get_args

from torch import Tensor

from flow import user_code
from flow.errors import UserError, unknown
from flow.noise import user_kinds
from flow.noise.adc import Adc
from flow.noise.origin import Origin
from flow.noise.samplers import Source
from flow.noise.site import Site

Order = Literal["mul-add", "add-mul"]
ORDERS: tuple[str, ...] = get_args(Order)
MOST_EXECUTIONS = 64

CLEAN = "clean"
"""Name of no noise, which no kind can have."""

_KIND = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")
"""Names of kinds; in names of files, levels follow them."""
_CLASSES: dict[str, type["Noise"]] = {}
"""Class of each kind of this package by the kind's name, in the order of definition."""


@dataclass(frozen=True)
class Noise:
    """Noise at one site; each subclass is a kind.

    Raises:
        UserError: a σ is negative, infinite or not a number, or the kind does not have it.
    """

    kind: ClassVar[str]
    """Name of the kind; if a class does not give one, that of the class: ``my-noise``."""
    origin: ClassVar[Origin | None] = None
    """Where a user's class is written; None for the kinds of this package."""
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
    adc: Adc | None = field(default=None, kw_only=True)
    """Converter that reads the noisy value of each execution; None for none."""

    def __init_subclass__(cls) -> None:
        """Name the kind, and register it if it is of this package."""
        if "kind" not in vars(cls):
            cls.kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", "-", cls.__name__).lower()
        cls.origin = Origin.of(cls)
        if cls.origin is None:
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

    @classmethod
    def formula(cls) -> str:
        """Return the first line of the class's docstring, which is the formula by convention."""
        text = vars(cls).get("__doc__") or ""
        # a dataclass without a docstring gets its signature
        first = text.strip().partition("\n")[0].removesuffix(".")
        return "" if first.startswith(f"{cls.__name__}(") else first

    @staticmethod
    def at(
        kind: "str | type[Noise]",
        sigma: float,
        ratio: float = 0.5,
        order: str = "mul-add",
        **options: Any,
    ) -> "Noise":
        """Make noise of any kind at one level.

        Args:
            kind: one of `flow.noise.KINDS`, ``file.py:MyNoise``, or a class.
            sigma: σ; for kinds with σₐ and σₘ the amplitude A.
            ratio: r, with σₐ = A·r and σₘ = A·(1−r).
            order: order of mixed noise, ``mul-add`` or ``add-mul``.
            options: further fields of the kind's class; None means not given.

        Raises:
            UserError: as for the class and `class_of`; or the order is unknown, the ratio lies
                outside 0..1, or the kind has no such option.
        """
        made = class_of(kind)
        if order not in ORDERS:
            raise unknown("noise order", order, ORDERS)
        if not 0 <= ratio <= 1:
            raise UserError(f"the noise ratio is {ratio}: give a number from 0 to 1")
        given = {name: value for name, value in options.items() if value is not None}
        for name in given:
            if name not in Noise.options_of(made):
                raise UserError(f"{made.kind} noise has no {name.replace('_', ' ')}: leave it out")
        if "order" in _names(made):
            given["order"] = order
        if made.adds:
            given["sigma_add"] = sigma * ratio if made.multiplies else sigma
        if made.multiplies:
            given["sigma_mul"] = sigma * (1 - ratio) if made.adds else sigma
        return made(**given) if made.origin is None else user_kinds.make(made, given)

    @staticmethod
    def options_of(kind: "str | type[Noise]") -> set[str]:
        """Return the names of a kind's options."""
        return _names(class_of(kind)) - {"sigma_add", "sigma_mul", "order", "adc"}

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> "Noise":
        """Make the noise that `to_json` described.

        Raises:
            UserError: as for the class, or the content of a file that the noise reads has changed.
        """
        origin = told.get("origin")
        if origin is not None and not origin["file"]:
            raise UserError(f"{told['kind']} noise is not in a file: write its class in one")
        made = class_of(told["kind"] if origin is None else origin["file"])
        given = {name: told[name] for name in _names(made) if name in told}
        if "adc" in given:
            given["adc"] = Adc.from_json(given["adc"])
        noise = made(**given)
        for name, value in noise.to_json().items():
            known = told.get(name)
            if name == "origin":
                same = known is not None and known["code"] == value["code"]
            else:
                same = name == "kind" or name in _names(made) or known == value
            if not same:
                raise UserError(
                    f"the {name} of {noise} is not the recorded {known}: restore its file"
                )
        return noise

    def to_json(self) -> dict[str, Any]:
        """Return the kind, the file of a user's kind, and every field that distinguishes noises."""
        told = [one.name for one in fields(self) if one.compare and one.name != "adc"]
        found = {"kind": self.kind, **{name: getattr(self, name) for name in told}}
        if self.adc is not None:
            found["adc"] = self.adc.to_json()
        return found if self.origin is None else found | {"origin": self.origin.to_json()}

    @property
    def name(self) -> str:
        """Short name for files: ``additive-4``, ``mixed-1-2-add-mul``; with a hash if longer."""
        if self.idle:
            return CLEAN
        both = self.adds and self.multiplies
        levels = [f"{sigma:g}" for sigma in (self.sigma_add, self.sigma_mul) if sigma or both]
        # of measured noise the digest tells; a user's class may read a file without one
        unnamed = {*Noise.__dataclass_fields__, "kind", "origin"}
        unnamed |= {"file"} if self.origin is None else set()
        own = {
            key: value
            for key, value in self.to_json().items()
            if key not in unnamed and value is not None
        }
        extra = [] if own in ({}, {"order": "mul-add"}) else [_short(own)]
        if self.executions > 1:
            extra.append(f"x{self.executions}")
        if self.adc is not None:
            extra.append(f"adc{self.adc.bits}-{self.adc.real_step:g}")
        if self.origin is not None:
            extra.append(self.origin.code)
        return "-".join([self.kind, *levels, *extra])

    def scaled(self, factor: float) -> Self:
        """Return the same noise with σ multiplied by a factor."""
        return replace(self, sigma_add=self.sigma_add * factor, sigma_mul=self.sigma_mul * factor)

    @property
    def silent(self) -> bool:
        """Whether the noise leaves every value unchanged."""
        return self.sigma_add == 0 and self.sigma_mul == 0

    @property
    def idle(self) -> bool:
        """Whether noise and converter leave every value unchanged."""
        return self.silent and self.adc is None

    @property
    def averages(self) -> bool:
        """Whether the mean of k executions is distributed as one execution with σ/√k.

        A user's class must declare it, since only normal samples keep their distribution.
        """
        return self.origin is None

    def apply(self, y: Tensor, source: Source) -> Tensor:
        """Return y with noise, read by the converter if there is one; y itself if it is idle.

        Args:
            y: the clean values, float [N, C] or [N, C, H, W].
            source: the samples for these values.
        """
        read = self.adc or _unread
        if self.silent:
            return read(y)
        once = self.once if self.origin is None else partial(user_kinds.once, self)
        total = read(once(y, source))
        for number in range(1, self.executions):
            total = total + read(once(y, source.of_execution(number)))
        return total / self.executions if self.executions > 1 else total

    def once(self, y: Tensor, source: Source) -> Tensor:
        """Return y with the noise of one execution.

        Args:
            y: the clean values, float [N, C] or [N, C, H, W]; of a weight site, the weights.
            source: the samples for these values.
        """
        raise NotImplementedError


def _unread(y: Tensor) -> Tensor:
    return y


def shared_by_images(site: str, kind: str | type[Noise]) -> bool:
    """Return whether all images of a noise draw share their noise, so that a draw is a device.

    Args:
        site: the site, such as ``fc0.weight``.
        kind: one of `flow.noise.KINDS`, ``file.py:MyNoise``, or a class.
    """
    return Site(site).is_weight or class_of(kind).shared


def kinds() -> tuple[str, ...]:
    """Return the names of the kinds of this package."""
    return tuple(_CLASSES)


def is_kind(name: str) -> bool:
    """Whether a kind can have this name."""
    return name != CLEAN and _KIND.fullmatch(name) is not None


def class_of(kind: str | type[Noise]) -> type[Noise]:
    """Return the class of a kind.

    Args:
        kind: one of `flow.noise.KINDS`; ``file.py:MyNoise``, whose file is run; or the class.

    Raises:
        UserError: there is no such kind, or a user's class cannot be one.
    """
    if isinstance(kind, str):
        if kind in _CLASSES:
            return _CLASSES[kind]
        if not user_code.is_user_code(kind):
            raise unknown("noise", kind, (*_CLASSES, "file.py:MyNoise"))
        kind = user_kinds.load(kind, Noise)
    if kind.origin is not None:
        user_kinds.check(kind, kind.origin, Noise)
        _check_name(kind.kind, kind.origin)
    return kind


def _check_name(name: str, origin: Origin) -> None:
    """Raise a UserError if a user's kind cannot have its name."""
    if name in _CLASSES:
        raise UserError(
            f"{origin} has the name of a built-in kind, {name}: rename the class, or give it "
            "another kind"
        )
    if not is_kind(name):
        raise UserError(
            f"the kind of {origin} is '{name}': give words of small letters and digits, such "
            "as my-noise"
        )


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

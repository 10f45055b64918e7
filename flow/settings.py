"""Settings: the user's options, each with type, default and description.

A command's options are the fields of one class. Everything else is derived from it: the options of
the command line and their help, the variables of make, the keys of a study, the page of the docs. A
field's docstring describes the option, one noun phrase with its unit.

Values come from Python, YAML or the command line, where a list is written with commas between. A
value that an option cannot have is an `flow.errors.OptionError`, which can name the option as the
user wrote it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import ValidationError as PydanticError
from pydantic.fields import FieldInfo

from flow.errors import OptionError, nearest

_LARGEST_SEED = (1 << 64) - 1

AUTO: Literal["auto"] = "auto"
"""Levels that are searched for."""
ADC_PERCENTILE = 99.9
"""Default range of a site's ADC, as a percentile of the site's absolute values."""


def _listed(value: Any) -> Any:
    """Return a list that was written with commas between, or a single item, as a sequence."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",")]
    return [value] if isinstance(value, int | float) else value


def _named(value: Any) -> Any:
    items = _listed(value)
    return [item for item in items if item != ""] if isinstance(items, list) else items


@dataclass(frozen=True)
class MidpointLevels:
    """Noise levels of each site, as multiples of its own midpoint μ: ``0.5mu,1mu,2mu``."""

    factors: tuple[float, ...]
    """Multiples, ascending."""

    def of(self, mu: float) -> list[float]:
        """Return the levels σ of a site with a midpoint, to four digits, ascending."""
        return sorted({float(f"{factor * mu:.4g}") for factor in self.factors})

    def __str__(self) -> str:
        return ",".join(f"{shown(factor)}{_MU}" for factor in self.factors)


_MU = "mu"
_IN_MIDPOINTS = re.compile(r"(.*?)\s*(?:mu|μ)\s*", re.IGNORECASE)
"""A level as a multiple of μ, with either letter of that sound."""


def parse_levels(value: Any) -> tuple[float, ...] | MidpointLevels | Literal["auto"]:
    """Read noise levels: numbers, as a list or with commas between, all with mu or none; or auto.

    Returns:
        The levels in ascending order, or ``auto``.

    Raises:
        ValueError: nothing there, not a number, not finite, not above zero, twice the same, or only
            some with mu.
    """
    if isinstance(value, MidpointLevels):
        return value
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    items = _listed(value)
    if not isinstance(items, list | tuple) or not items or items == [""]:
        raise ValueError("give noise levels such as 0.1,0.2,0.5, or auto")
    multiples = [_IN_MIDPOINTS.fullmatch(str(item)) for item in items]
    if not any(multiples):
        return _positive_levels(items)
    if not all(multiples):
        raise ValueError("give all levels in mu, such as 0.5mu,1mu,2mu, or none")
    return MidpointLevels(_positive_levels([found[1] for found in multiples if found]))


def _positive_levels(items: Sequence[Any]) -> tuple[float, ...]:
    """Return levels, or multiples of a midpoint, in ascending order; errors of `parse_levels`."""
    levels: list[float] = []
    for item in items:
        try:
            level = float(item) if not isinstance(item, bool) else math.nan
        except (TypeError, ValueError):
            raise ValueError(f"'{item}' is not a number: give levels such as 0.1,0.2,0.5") from None
        if not math.isfinite(level):
            raise ValueError(f"a noise level must be finite, not {item}")
        if level < 0:
            raise ValueError(f"a noise level cannot be negative, as {item} is")
        if level == 0:
            raise ValueError("leave 0 out, accuracy without noise is always measured")
        if level in levels:
            raise ValueError(f"{item} occurs twice; each level is measured once")
        levels.append(level)
    return tuple(sorted(levels))


def parse_bits(value: Any) -> Any:
    """Read numbers of bits: one, several with commas between or as a list, or a range as 1-8."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, range) else _listed(value)
    found: list[Any] = []
    for item in _listed(value):
        low, dash, high = item.partition("-")
        if dash and low.strip().isdigit() and high.strip().isdigit():
            found += range(int(low), int(high) + 1)
        else:
            found.append(item)
    return found


def _each_once(items: tuple[str, ...]) -> tuple[str, ...]:
    if not items:
        raise ValueError("name one at least")
    if len(set(items)) < len(items):
        raise ValueError("name each once")
    return items


def _ascending(items: tuple) -> tuple:
    if not items:
        raise ValueError("give one number at least")
    return tuple(sorted(set(items)))


Item = TypeVar("Item")

Names = Annotated[tuple[str, ...], BeforeValidator(_named)]
"""A list of names; it may be empty."""
Kinds = Annotated[tuple[str, ...], BeforeValidator(_named), AfterValidator(_each_once)]
"""A list of kinds, each once."""
Numbers = Annotated[tuple[Item, ...], BeforeValidator(_listed), AfterValidator(_ascending)]
"""A list of numbers in ascending order, each once."""
Levels = Annotated[
    tuple[float, ...] | MidpointLevels | Literal["auto"], BeforeValidator(parse_levels)
]
"""Noise levels in ascending order, multiples of each site's midpoint, or ``auto``."""
Bits = Annotated[tuple[int, ...], BeforeValidator(parse_bits), AfterValidator(_ascending)]
"""Numbers of bits in ascending order, each once."""
Unit = Literal["real", "lsb", "std", "range"]
"""What σ is measured in at a site: the unit of the layer's output, the LSB of its integers, the
standard deviation of its values, or the largest of them."""
OPTIONS_OF_NOISE: Mapping[str, str] = {"samples": "file", "device_seed": "device"}
"""Options that have another name in a kind of noise."""
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, le=_LARGEST_SEED)]


class Settings(BaseModel):
    """Base of all settings: frozen, without unknown keys, with messages for users.

    Raises:
        OptionError: an option is unknown or has a value that it cannot have, or options exclude
            each other.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        defer_build=True,
    )

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of options of which at most one is given."""
    refused: ClassVar[Mapping[str, str]] = {}
    """Fields of a base class that are no option here, and why; they keep their defaults."""
    renamed: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Names that options had, and those that replace them."""
    places: ClassVar[frozenset[str]] = frozenset({"build"})
    """Fields that no user sets, but only Python code."""

    # a type checker derives the arguments from the fields
    if not TYPE_CHECKING:

        def __init__(self, **values: Any) -> None:
            for name, value in values.items():
                self._admit(name, value)
            # an empty text means the same as leaving the option out
            given = {
                name: value
                for name, value in values.items()
                if value != "" or self.default(name) is not None
            }
            try:
                super().__init__(**given)
            except PydanticError as error:
                raise _told(type(self), given, error) from None

    @classmethod
    def _admit(cls, name: str, value: Any) -> None:
        """Raise an OptionError if an option is unknown, or its value is one of another kind."""
        if name not in cls.model_fields:
            raise cls.unknown(name)
        if name in cls.refused and value != cls.default(name):
            raise cls.unknown(name)
        if isinstance(value, bool) and bool not in kinds(cls.model_fields[name].annotation):
            raise OptionError(name, f"is {shown(value)}: give {cls.wanted(name)}")

    def model_post_init(self, context: Any) -> None:
        """Check that options do not exclude each other, then run `check`."""
        for group in self.exclusive:
            given = [name for name in group if getattr(self, name) is not None]
            if len(given) > 1:
                raise OptionError(given, "exclude each other: give one")
        self.check()

    def check(self) -> None:
        """Check what the types do not tell; modules that take long to import are imported here."""

    def changed(self, **values: Any) -> Self:
        """Return the same settings with other values of some options."""
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | values)

    @classmethod
    def options(cls) -> dict[str, FieldInfo]:
        """Return the options, by their names in Python."""
        hidden = cls.places | cls.refused.keys()
        return {name: one for name, one in cls.model_fields.items() if name not in hidden}

    @classmethod
    def default(cls, name: str) -> Any:
        """Return an option's default."""
        return cls.model_fields[name].get_default(call_default_factory=True)

    @classmethod
    def wanted(cls, name: str) -> str:
        """Return the values that an option takes, such as ``a whole number of 1 or more``."""
        field = cls.model_fields[name]
        return _wanted(field.annotation, field.metadata)

    @classmethod
    def is_list(cls, name: str) -> bool:
        """Whether an option's value is a list itself."""
        return tuple in kinds(cls.model_fields[name].annotation)

    @classmethod
    def unknown(cls, name: str) -> OptionError:
        """Build the error for an unknown option, with the nearest known ones."""
        return unknown_option(name, cls)


def unknown_option(name: str, *several: type[Settings]) -> OptionError:
    """Build the error for an option that no class of settings knows.

    Args:
        name: what the user wrote, as Python would have it.
        several: the classes whose options the user may give.
    """
    for cls in several:
        if name in cls.refused:
            return OptionError(name, f"is no option here: {cls.refused[name]}")
        if name in cls.renamed:
            return OptionError(name, "has another name now", cls.renamed[name])
    known = [option for cls in several for option in cls.options()]
    return OptionError(name, "is no option here", nearest(name, known, 2))


def shown(value: Any) -> str:
    """Return a value as a user would write it on the command line; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _told(cls: type[Settings], values: Mapping[str, Any], error: PydanticError) -> OptionError:
    """Return the first of pydantic's findings as a message that names the option."""
    found = error.errors()[0]
    name = str(found["loc"][0])
    # show the whole list, not only the item
    value = values[name]
    written = "is empty" if value in ("", None) else f"is {shown(value)}"
    if found["type"] == "value_error":
        return OptionError(name, f"{written}: {found['ctx']['error']}")
    near = nearest(str(value), choices(cls.model_fields[name].annotation), 1)
    hint = f"did you mean {near[0]}?" if near else f"give {cls.wanted(name)}"
    return OptionError(name, f"{written}: {hint}")


_WORDS: Mapping[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a name", "names"),
    bool: ("true or false", ""),
    Path: ("a path", "paths"),
    MidpointLevels: ("multiples such as 0.5mu", ""),
}
"""By type: one value, and several."""


def _parts(annotation: Any) -> list[Any]:
    """Return the alternatives of a type, except None."""
    if get_origin(annotation) in (Union, UnionType):
        return [part for part in get_args(annotation) if part is not NoneType]
    return [annotation]


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def kinds(annotation: Any) -> set[Any]:
    """Return the plain types that a value may have: ``tuple`` for lists, ``Literal`` for words."""
    parts = (_bare(part) for part in _parts(annotation))
    return {get_origin(part) or part for part in parts}


def choices(annotation: Any) -> list[str]:
    """Return the words that a type allows; none if it is not one of words."""
    parts = [part for part in map(_bare, _parts(annotation)) if get_origin(part) is Literal]
    return [word for part in parts for word in get_args(part)]


def _wanted(annotation: Any, metadata: Sequence[Any], several: bool = False) -> str:
    """Describe the values that a type takes."""
    said: list[str] = []
    for part in _parts(annotation):
        bounds = [*metadata, *(get_args(part)[1:] if get_origin(part) is Annotated else ())]
        bare = _bare(part)
        if get_origin(bare) is Literal:
            said += get_args(bare)
        elif get_origin(bare) is tuple:
            items = _wanted(get_args(bare)[0], (), several=True)
            said.append(f"{items} separated by commas")
        elif get_origin(bare) is dict:
            said.append("names separated by commas, each with or without =number")
        else:
            said.append(_WORDS[bare][several] + _bounded(bounds))
    return " or ".join(said)


def _number(value: float) -> str:
    return "2^64 − 1" if value == _LARGEST_SEED else f"{value:,.15g}"


def _bounded(metadata: Sequence[Any]) -> str:
    """Describe the bounds of numbers."""
    ends = {}
    for one in metadata:
        for constraint in (one, *getattr(one, "metadata", ())):
            for end in ("ge", "gt", "le", "lt"):
                value = getattr(constraint, end, None)
                if value is not None:
                    ends[end] = "2^64 − 1" if value == _LARGEST_SEED else _number(value)
    if "ge" in ends and "le" in ends:
        return f" from {ends['ge']} to {ends['le']}"
    words = {"ge": "of at least", "gt": "above", "le": "up to", "lt": "below"}
    said = " and ".join(f"{words[end]} {ends[end]}" for end in ends)
    return f" {said}" if said else ""

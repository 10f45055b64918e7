"""Costs of noise at each site: low noise takes energy, area or time.

The noise x of a site is relative to the standard deviation of its values, so that its
signal-to-noise ratio is −20 log10 x dB. The default costs are

- of σ that of thermal noise, e x^−2, where e is the number of multiplications of the layer;
- of an ADC of B bits n 2^B, where n is the number of its conversions for an image;
- of k executions c k, where c is the number of clock cycles of the layer.

A file may say otherwise::

    unit: pJ                  # of the whole cost, for tables and pictures
    exponent: 2               # of σ at every site that names no other
    energy: 0.02              # factor on every weight, such as pJ of an operation at x = 1
    sites:                    # optional; if it is there, every site needs an entry
      conv0.acc: 1.5e6        # weight: the cost at x = 1, in place of the multiplications
      conv1.acc: {exponent: 1}
      fc0.acc: {weight: 1, table: fc0.csv}   # columns snr and cost
    adc:                      # the same four of ADCs: weight · (2^B)^exponent
      exponent: 2             # 4^B
      sites: {…}              # tables have columns bits and cost
    executions: {…}           # of executions: weight · k^exponent; columns executions and cost

As whole numbers are powers of x (`flow.experiments.budget.sources`), all are costs over log x.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import yaml
from pydantic import Field
from scipy.interpolate import PchipInterpolator

from flow.errors import UserError, unknown, within
from flow.experiments.budget.knobs import ADC, EXECUTIONS, SIGMA, Knob
from flow.experiments.budget.sources import Floats, Source
from flow.settings import Positive, Settings

_COLUMNS: Mapping[Knob, str] = {SIGMA: "snr", ADC: "bits", EXECUTIONS: "executions"}
"""Column of a table, beside the cost."""
_POWERS: Mapping[Knob, float] = {SIGMA: 1.0, ADC: 1.0, EXECUTIONS: 2.0}
"""Exponents of 1 / x to which 1 / x, 2^B and k are proportional."""
_EXPONENTS: Mapping[Knob, float] = {SIGMA: 2.0, ADC: 1.0, EXECUTIONS: 1.0}
"""Default exponents of 1 / x, 2^B and k."""
DEFAULT: Mapping[Knob, str] = {
    SIGMA: "multiplications · (std / σ)²",
    ADC: "conversions · 2^bits",
    EXECUTIONS: "clock cycles · executions",
}
"""Default costs in words."""


class SiteCost(Protocol):
    """Cost of one site over the logarithm of its noise."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest log x for which the cost is known."""

    def log(self, u: Floats) -> Floats:
        """Return log cost at u = log x, of the same shape."""

    def slope(self, u: Floats) -> Floats:
        """Return d log cost / du, of the same shape."""


@dataclass(frozen=True)
class PowerCost:
    """Cost w x^−p."""

    weight: float
    """w, above 0."""
    exponent: float
    """p, above 0."""

    @property
    def bounds(self) -> tuple[float, float]:
        """No bounds."""
        return -math.inf, math.inf

    def log(self, u: Floats) -> Floats:
        """Return log cost; as `SiteCost`."""
        return math.log(self.weight) - self.exponent * u

    def slope(self, u: Floats) -> Floats:
        """Return its slope; as `SiteCost`."""
        return np.full_like(u, -self.exponent)


@dataclass(frozen=True)
class TableCost:
    """Cost between the rows of a table, smooth and monotone: log cost over log x."""

    curve: PchipInterpolator
    """log cost over log x."""

    @classmethod
    def read(cls, path: Path, weight: float, source: Source) -> "TableCost":
        """Read a CSV file with columns ``cost`` and ``snr`` (dB), ``bits`` or ``executions``.

        Raises:
            UserError: the file cannot be read, or has fewer than two rows with rising cost.
        """
        column = _COLUMNS[source.knob]
        try:
            table = pd.read_csv(path)
            number, cost = (np.asarray(table[name], dtype=np.float64) for name in (column, "cost"))
        except KeyError as error:
            raise UserError(
                f"{path} has no column {error}: give columns {column} and cost"
            ) from error
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is no table of costs: {error}") from error
        order = np.argsort(number)
        number, cost = number[order], cost[order]
        rises = np.all(np.diff(number) > 0) and np.all(np.diff(cost) > 0)
        if len(number) < 2 or not rises or not np.all(np.isfinite(cost)) or cost[0] <= 0:
            raise UserError(
                f"{path}: give two rows or more, with costs above 0 that rise with {column}"
            )
        if source.knob != SIGMA and number[0] < 1:
            raise UserError(f"{path}: {column} is {number[0]:g}: give 1 or more")
        return cls(PchipInterpolator(source.log_noise(number)[::-1], np.log(weight * cost[::-1])))

    @property
    def bounds(self) -> tuple[float, float]:
        """The first and the last row."""
        return float(self.curve.x[0]), float(self.curve.x[-1])

    def log(self, u: Floats) -> Floats:
        """Return log cost; as `SiteCost`."""
        return np.asarray(self.curve(np.clip(u, *self.bounds)))

    def slope(self, u: Floats) -> Floats:
        """Return its slope; as `SiteCost`."""
        return np.asarray(self.curve.derivative()(np.clip(u, *self.bounds)))


@dataclass(frozen=True)
class Cost:
    """Cost of a whole plan: the sum over its sites."""

    sites: Sequence[SiteCost]
    unit: str = ""
    """Unit of the cost; empty if it has none."""

    def log_shares(self, u: Floats) -> Floats:
        """Return the log cost of each site, [..., sites], at log x of that shape."""
        return np.stack([one.log(u[..., i]) for i, one in enumerate(self.sites)], axis=-1)

    def total(self, u: Floats) -> Floats:
        """Return the cost, [...], of log x, [..., sites]."""
        return np.asarray(np.exp(self.log_shares(u)).sum(axis=-1))

    def slopes(self, u: Floats) -> Floats:
        """Return d log cost / du of each site, [..., sites]."""
        return np.stack([one.slope(u[..., i]) for i, one in enumerate(self.sites)], axis=-1)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest log x of each site, [sites] each."""
        low, high = zip(*(one.bounds for one in self.sites), strict=True)
        return np.array(low), np.array(high)


class _Entry(Settings):
    """Cost of one site, as in a file."""

    weight: Positive | None = None
    exponent: Positive | None = None
    table: Path | None = None


class _Section(Settings):
    """Costs of what varies, as in a file."""

    exponent: Positive | None = None
    energy: Positive = 1.0
    sites: dict[str, Any] | None = None


Made = TypeVar("Made", bound=_Section)


class _File(_Section):
    """A file of costs: those of σ, and sections for the others."""

    unit: str = ""
    adc: dict[str, Any] = Field(default_factory=dict)
    executions: dict[str, Any] = Field(default_factory=dict)


def read(path: Path | None, sources: Sequence[Source], counts: Sequence[float]) -> Cost:
    """Return the cost of sources, by default that of the module docstring.

    Args:
        path: file of the user's; None for the default.
        sources: what varies.
        counts: default weight of each source: multiplications, conversions or clock cycles.

    Raises:
        UserError: the file cannot be read, lacks a site, has one that does not vary, or a value
            that is not above 0.
    """
    if path is None:
        return Cost(_costs(_Section(), Path(), dict(zip(sources, counts, strict=True))))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    with within(str(path)):
        if not isinstance(content, dict):
            raise UserError("it is no mapping: see docs/how-to/budget.md")
        for name in (ADC, EXECUTIONS):
            if not isinstance(content.get(name, {}), dict):
                raise UserError(f"{name} is no mapping: see docs/how-to/budget.md")
        return _of_file(_made(_File, content), path.parent, sources, counts)


def _made(made: type[Made], content: Mapping[Any, Any]) -> Made:
    """Return a section; UserError if its sites are not a mapping."""
    if not isinstance(content.get("sites", {}), dict):
        raise UserError("sites is no mapping of sites to costs")
    return made(**{str(key): value for key, value in content.items()})


def _of_file(file: _File, folder: Path, sources: Sequence[Source], counts: Sequence[float]) -> Cost:
    found: dict[Source, SiteCost] = {}
    for knob in dict.fromkeys(one.knob for one in sources):
        own = {one: n for one, n in zip(sources, counts, strict=True) if one.knob == knob}
        with nullcontext() if knob == SIGMA else within(knob):
            section = file if knob == SIGMA else _made(_Section, getattr(file, knob))
            found |= dict(zip(own, _costs(section, folder, own), strict=True))
    if SIGMA not in [one.knob for one in sources]:
        for name in _Section.model_fields:
            if getattr(file, name) != _Section.default(name):
                where = " or ".join(dict.fromkeys(one.knob for one in sources))
                raise UserError(f"{name} belongs to σ, which does not vary: write it under {where}")
    return Cost([found[one] for one in sources], file.unit)


def _costs(section: _Section, folder: Path, sources: Mapping[Source, float]) -> list[SiteCost]:
    """Return the cost of each source that a section is for, given its default weight."""
    given, sites = section.sites, [one.site for one in sources]
    for site in given or {}:
        if site not in sites:
            raise unknown("site", str(site), sites)
    found: list[SiteCost] = []
    for source, count in sources.items():
        site = source.site
        if given is not None and site not in given:
            raise UserError(f"site {site} has no cost: give its weight")
        value = {} if given is None else given[site]
        with within(f"site {site}"):
            entry = _Entry(**(value if isinstance(value, dict) else {"weight": value}))
            if entry.table is not None:
                weight = section.energy * (entry.weight or 1.0)
                found.append(TableCost.read(folder / entry.table, weight, source))
            else:
                exponent = entry.exponent or section.exponent or _EXPONENTS[source.knob]
                power = _POWERS[source.knob] * exponent
                weight = section.energy * (entry.weight or count)
                found.append(PowerCost(weight * math.exp(source.origin * power), power))
    return found

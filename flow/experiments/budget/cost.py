"""What noise at each site costs: little noise takes much energy, or area, or time.

The noise of a site is given as a share x of the standard deviation of its values, so that its
signal-to-noise ratio is −20 log10 x dB. The default cost is that of thermal noise, Σ e_i x_i^−2,
where e_i is the number of multiplications of the layer. A file may say otherwise::

    unit: pJ                  # of the whole cost, for tables and pictures
    exponent: 2               # of every site that names no other
    energy: 0.02              # factor on every weight, such as pJ of an operation at x = 1
    sites:                    # optional; if it is there, every site needs an entry
      conv0.acc: 1.5e6        # weight: the cost at x = 1, in place of the multiplications
      conv1.acc: {exponent: 1}
      fc0.acc: {weight: 1, table: fc0.csv}   # columns snr and cost
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from scipy.interpolate import PchipInterpolator

from flow.errors import UserError, unknown, within
from flow.settings import Positive, Settings

Floats = npt.NDArray[np.floating]

DB = 20 / math.log(10)
"""Decibels of a factor e."""


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
    """Cost between the rows of a table, smooth and monotone: log cost over the ratio in dB."""

    curve: PchipInterpolator
    """log cost over log x."""

    @classmethod
    def read(cls, path: Path, weight: float) -> "TableCost":
        """Read a CSV file with columns ``snr``, in dB, and ``cost``.

        Raises:
            UserError: the file cannot be read, or has no two rows of a cost that rises.
        """
        try:
            table = pd.read_csv(path)
            snr, cost = (np.asarray(table[name], dtype=np.float64) for name in ("snr", "cost"))
        except KeyError as error:
            raise UserError(f"{path} has no column {error}: give columns snr and cost") from error
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is no table of costs: {error}") from error
        order = np.argsort(snr)
        snr, cost = snr[order], cost[order]
        rises = np.all(np.diff(snr) > 0) and np.all(np.diff(cost) > 0)
        if len(snr) < 2 or not rises or not np.all(np.isfinite(cost)) or cost[0] <= 0:
            raise UserError(
                f"{path}: give two rows or more, with costs above 0 that rise with the ratio"
            )
        return cls(PchipInterpolator(-snr[::-1] / DB, np.log(weight * cost[::-1])))

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
    """The cost of one site, as a file has it."""

    weight: Positive | None = None
    exponent: Positive | None = None
    table: Path | None = None


class _File(Settings):
    """A file of costs."""

    unit: str = ""
    exponent: Positive = 2.0
    energy: Positive = 1.0
    sites: dict[str, Any] | None = None


def read(path: Path | None, operations: Mapping[str, float]) -> Cost:
    """Return the cost of sites: by default multiplications · x^−2.

    Args:
        path: file of the user's (module docstring); None for the default.
        operations: multiplications of the layer of each site, in the order of the sites.

    Raises:
        UserError: the file cannot be read, lacks a site, has one that is not noisy, or a value
            that is not above 0.
    """
    if path is None:
        return Cost([PowerCost(count, 2.0) for count in operations.values()])
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    with within(str(path)):
        if not isinstance(content, dict):
            raise UserError("it is no mapping: see docs/how-to/budget.md")
        if not isinstance(content.get("sites", {}), dict):
            raise UserError("sites is no mapping of sites to costs")
        return _of_file(_File(**{str(k): v for k, v in content.items()}), path.parent, operations)


def _of_file(file: _File, folder: Path, operations: Mapping[str, float]) -> Cost:
    given = file.sites
    for site in given or {}:
        if site not in operations:
            raise unknown("site", str(site), operations)
    found: list[SiteCost] = []
    for site, count in operations.items():
        if given is not None and site not in given:
            raise UserError(f"site {site} has no cost: give its weight")
        value = {} if given is None else given[site]
        with within(f"site {site}"):
            entry = _Entry(**(value if isinstance(value, dict) else {"weight": value}))
            if entry.table is not None:
                weight = file.energy * (entry.weight or 1.0)
                found.append(TableCost.read(folder / entry.table, weight))
            else:
                weight = file.energy * (entry.weight or count)
                found.append(PowerCost(weight, entry.exponent or file.exponent))
    return Cost(found, file.unit)

"""An estimate with its interval, in the form of all results."""

from typing import NamedTuple


class Estimate(NamedTuple):
    """A value with its 95 % interval, or only one end if the data give a bound."""

    value: float | None
    """The estimate; None for a bound."""
    low: float | None
    """Lower end, or the level that the value lies above; None if it lies below `high`."""
    high: float | None
    """Upper end, or the level that the value lies below; None if it lies above `low`."""

    @property
    def level(self) -> float:
        """The value, or its bound if there is none."""
        known = (part for part in self if part is not None)
        return next(known)

    def times(self, factor: float) -> "Estimate":
        """Return the estimate in another unit."""
        return Estimate(*(None if part is None else part * factor for part in self))

    def __str__(self) -> str:
        """Return ``2.31 [2.2, 2.43]``, ``> 10``, ``< 0.1``, or ``–`` if the data say nothing."""
        if self.value is None:
            if self.high is None and not self.low:
                return "–"
            return f"> {self.low:.3g}" if self.high is None else f"< {self.high:.3g}"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

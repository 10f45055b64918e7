"""Quantile function of any distribution, as a table that replaces a tap's normal one.

The table has the segments of `flow.noise.gaussian`, once for the upper half of the distribution and
once for the lower, so it need not be symmetric. With tail probability m / 2^32, the upper half
holds z and the lower half −z; both fall as m grows. Within a segment the quantile function is the
line between its ends.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from flow.errors import UserError
from flow.files import save_arrays
from flow.noise.gaussian import (
    FALL_BITS,
    FRACTION_BITS,
    GUARD,
    OCTAVES,
    SEGMENTS,
    gaussian,
    pack,
    segment_edges,
)

SHAPE = (2, OCTAVES * SEGMENTS, 2)
LARGEST = 7.9
"""Largest |z|: a sample has 16 bits, of which 12 are fractional."""
_ONE = 1 << (FRACTION_BITS + GUARD)


@dataclass(frozen=True)
class QuantileTable:
    """A distribution of z, in the hardware's fixed-point numbers.

    Raises:
        UserError: the table has another shape, a number out of range, or is not monotone.
    """

    entries: npt.NDArray[np.int64] = field(repr=False, compare=False)
    """[2, OCTAVES · SEGMENTS, 2]: base and fall of z above the median, then of −z below it."""
    unit: float = 1.0
    """Value of z = 1, in the unit of the samples."""
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        if self.entries.shape != SHAPE or self.entries.dtype.kind not in "iu":
            raise UserError(
                f"a table of quantiles has whole numbers {list(SHAPE)}, this one "
                f"{self.entries.dtype} {list(self.entries.shape)}"
            )
        object.__setattr__(self, "entries", self.entries.astype(np.int64))
        object.__setattr__(self, "digest", hashlib.sha256(self.entries.tobytes()).hexdigest()[:16])
        start, end = self._ends()
        largest = np.abs(np.stack([start, end])).max()
        if largest > 8 * _ONE - _ONE // 256 or self.entries[..., 1].max() >> FALL_BITS:
            raise UserError(
                f"a table of quantiles reaches {largest / _ONE:.3g}: a sample lies between −8 and 8"
            )
        path = np.stack([start, end], 2).reshape(2, -1)
        if (np.diff(path) > 0).any() or -path[1, -1] > path[0, -1]:
            raise UserError("a table of quantiles is not monotone: sort it by probability")
        if not (np.isfinite(self.unit) and self.unit > 0):
            raise UserError(f"the unit of a table of quantiles is {self.unit}: give one above 0")

    @classmethod
    def of(cls, samples: npt.NDArray[np.float32]) -> "QuantileTable":
        """Return the distribution of measured samples, with their mean and standard deviation.

        Args:
            samples: [n], ascending, with at least two distinct values.
        """
        values = samples.astype(np.float64)
        ends = _quantiles(values)
        weight = np.diff(segment_edges(), axis=1)[:, 0] / 2.0**32
        start, fall = ends[..., 0], ends[..., 0] - ends[..., 1]
        sign = np.array([[1.0], [-1.0]])
        mean = float((sign * weight * (start - fall / 2)).sum())
        square = float((weight * (start**2 - start * fall + fall**2 / 3)).sum())
        stretch = values.std() / np.sqrt(square - mean**2)
        ends = ends * stretch + (sign * (values.mean() - stretch * mean))[..., None]
        unit = max(float(values.std()), float(np.abs(ends).max()) / LARGEST)
        whole = np.round(ends / unit * _ONE).astype(np.int64)
        return cls(np.stack([whole[..., 0], whole[..., 0] - whole[..., 1]], -1), unit)

    @classmethod
    def read(cls, path: Path) -> "QuantileTable":
        """Read a table from a ``.npz`` file with ``entries`` and ``unit``, as written by `write`.

        Raises:
            UserError: as for the class, or the file cannot be read.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                return cls(found["entries"], float(found["unit"]))
        except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise UserError(f"cannot read a table of quantiles from {path}: {error}") from error

    def write(self, path: Path) -> None:
        """Write the table to a ``.npz`` file.

        Raises:
            Fatal: the folder cannot be written.
        """
        save_arrays(path, entries=self.entries, unit=self.unit)

    def sample(self, words: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
        """Turn random words into samples z · 2^FRACTION_BITS of the same shape."""
        return gaussian(words, self.entries)

    def samples(self, count: int = 1 << 16) -> npt.NDArray[np.float32]:
        """Return samples of equal probability, [count], ascending, in the samples' unit."""
        tail = ((np.arange(count // 2) + 0.5) / count * 2.0**32).astype(np.uint32)
        words = np.concatenate([tail | np.uint32(1 << 31), tail[::-1]])
        return (self.sample(words) * (self.unit / (1 << FRACTION_BITS))).astype(np.float32)

    def words(self) -> list[tuple[int, int]]:
        """Return the low 32 bits and the high bits of each entry, in the tap memory's order."""
        return [(int(e) & 0xFFFFFFFF, int(e) >> 32) for e in pack(self.entries).ravel()]

    def _ends(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return each half at the ends of the segments that words can select, by m ascending."""
        octaves = self.entries.reshape(2, OCTAVES, SEGMENTS, 2)[:, ::-1]
        picked = np.concatenate([octaves[:, 0, :1], octaves[:, 1:].reshape(2, -1, 2)], 1)
        return picked[..., 0], picked[..., 0] - picked[..., 1]


def _quantiles(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return z above the median and −z below it at both ends of each segment, [2, segments, 2].

    Each end is the limit from within its segment, so a step of the distribution between two
    segments remains a step.
    """
    count, edges = len(values), segment_edges() / 2.0**32

    def at(share: npt.NDArray[np.float64], *, from_above: bool) -> npt.NDArray[np.float64]:
        place = np.floor(share * count) if from_above else np.ceil(share * count) - 1
        return values[place.clip(0, count - 1).astype(np.int64)]

    first, last = edges[:, 0], edges[:, 1]
    upper = (at(1 - first, from_above=False), at(1 - last, from_above=True))
    lower = (at(first, from_above=True), at(last, from_above=False))
    return np.stack([np.stack(upper, -1), -np.stack(lower, -1)])

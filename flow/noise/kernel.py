"""Random words, samples and the tap by a compiled kernel: NumPy's numbers, bit for bit.

The kernel is compiled when samples are first drawn. Where it cannot be compiled, or does not
compute the same as `flow.noise.philox` and `flow.noise.gaussian`, NumPy is used instead.
"""

import ctypes
import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, Structure, byref, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from functools import cache
from threading import Lock

import numpy as np
import numpy.typing as npt

from flow import native
from flow.errors import UserError
from flow.noise.gaussian import FALL_BITS, TABLE, entries, gaussian
from flow.noise.philox import noise_words

log = logging.getLogger(__name__)

_PLACE = (c_uint64, c_uint32, c_uint32, c_uint64, c_uint64)
"""Types of seed, site and draw, first image, images and elements."""
_building = Lock()
_FIELDS = (
    "frac", "sigma_mul", "sigma_add", "add_first", "add_shift", "shift", "low", "high", "bipolar",
    "adc_bits", "adc_step", "adc_unsigned",
)  # fmt: skip


def _pairs(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return base + half and fall of each segment, as ``kernel.cpp`` reads them."""
    packed = entries(table)
    both = np.stack([packed >> FALL_BITS, packed & ((1 << FALL_BITS) - 1)], 1)
    return both.astype(np.int32)


_NORMAL = _pairs(TABLE)


class TapLevels(Structure):
    """Levels and format of a tap without drift, as ``kernel.cpp`` has them.

    ``add_shift`` is the number of bits by which σₐ·z₂ is rounded, ``shift`` that of the output; a
    bipolar output is ``low`` or ``high``.
    """

    _fields_ = tuple((name, c_int64) for name in _FIELDS)


class Kernel:
    """Compiled functions, which threads may call side by side.

    Args:
        library: the compiled ``kernel.cpp``.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._words, self._samples = library.words, library.samples
        self._words.argtypes = (*_PLACE, c_void_p)
        self._samples.argtypes = (*_PLACE, c_void_p, c_int32, c_void_p)
        self._taps = {np.dtype("f4"): library.tap_floats, np.dtype("i8"): library.tap_integers}
        for tap in self._taps.values():
            tap.argtypes = (
                c_void_p, c_void_p, c_uint64, c_void_p, c_uint64, c_void_p, c_void_p, c_int32,
                POINTER(TapLevels),
            )  # fmt: skip
        for function in (self._words, self._samples, *self._taps.values()):
            function.restype = None

    def words(
        self, seed: int, site: int, draw: int, first_image: int, images: int, elements: int
    ) -> npt.NDArray[np.uint32]:
        """Return what `flow.noise.philox.noise_words` returns."""
        out = np.empty((images, elements), dtype=np.uint32)
        self._words(seed, site << 16 | draw, first_image, images, elements, out.ctypes.data)
        return out

    def samples(
        self,
        seed: int,
        site: int,
        draw: int,
        first_image: int,
        out: npt.NDArray[np.int32],
        table: npt.NDArray[np.int64] = TABLE,
    ) -> None:
        """Write what `flow.noise.gaussian.gaussian` makes of a site's words.

        Args:
            seed: 64 bits.
            site: the site's number, 16 bits.
            draw: number of the draw, 16 bits.
            first_image: number of the first image.
            out: int32 [images, elements], contiguous: z · 2^FRACTION_BITS.
            table: for one or both signs, as for ``gaussian``.
        """
        assert out.dtype == np.int32 and out.flags.c_contiguous
        pairs = _NORMAL if table is TABLE else _pairs(table)
        lower = len(pairs) // 2 if table.ndim == 3 else 0
        place = (seed, site << 16 | draw, first_image, *out.shape)
        self._samples(*place, pairs.ctypes.data, lower, out.ctypes.data)

    def tap(
        self,
        acc: npt.NDArray,
        out: npt.NDArray,
        offset: npt.NDArray[np.int64],
        z1: npt.NDArray[np.int32] | None,
        z2: npt.NDArray[np.int32] | None,
        levels: TapLevels,
    ) -> None:
        """Write what a tap makes of consecutive elements (`flow.noise.hardware.fixed_point`).

        Args:
            acc: whole numbers, float32 or int64 [n], contiguous.
            out: the output, like ``acc``.
            offset: o · 2^F, [period], of the first elements; it repeats.
            z1: samples, [n], or [period] if they repeat; None if there is no such noise.
            z2: as `z1`.
            levels: the tap's levels and format.
        """
        given = [z for z in (z1, z2) if z is not None]
        arrays = (acc, out, offset, *given)
        assert acc.dtype == out.dtype and offset.dtype == np.int64
        assert all(z.dtype == np.int32 for z in given)
        assert all(one.flags.c_contiguous for one in arrays)
        repeats = any(len(z) != len(acc) for z in given)
        assert all(len(z) == (len(offset) if repeats else len(acc)) for z in given)
        z1_at, z2_at = (None if z is None else z.ctypes.data for z in (z1, z2))
        self._taps[acc.dtype](
            acc.ctypes.data, out.ctypes.data, len(acc), offset.ctypes.data, len(offset),
            z1_at, z2_at, repeats, byref(levels),
        )  # fmt: skip


class _Choice:
    """Whether the kernel may be used."""

    allowed = True


@contextmanager
def numpy_only() -> Iterator[None]:
    """Draw by NumPy's functions, in all threads: for tests and comparisons."""
    before, _Choice.allowed = _Choice.allowed, False
    try:
        yield
    finally:
        _Choice.allowed = before


def kernel() -> Kernel | None:
    """Return the kernel, compiled on the first call, or None if NumPy must do."""
    if not _Choice.allowed:
        return None
    with _building:
        return _kernel()


@cache
def _kernel() -> Kernel | None:
    try:
        found = Kernel(native.load(__file__))
        _check(found)
    except (OSError, RuntimeError, subprocess.TimeoutExpired, UserError) as error:
        log.warning("samples are drawn by NumPy, several times slower: %s", error)
        return None
    return found


def _check(found: Kernel) -> None:
    """Compare the kernel with NumPy; RuntimeError if they differ."""
    both = np.stack([TABLE, TABLE // 2])
    for table in (TABLE, both):
        place, out = (0xFEDCBA9876543210, 3, 1, 0xFFFFFFFE), np.empty((5, 1001), dtype=np.int32)
        found.samples(*place, out, table)
        if not np.array_equal(out, gaussian(noise_words(*place, *out.shape), table)):
            raise RuntimeError("the compiled kernel computes other numbers than NumPy")

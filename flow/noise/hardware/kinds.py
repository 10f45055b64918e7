"""Kinds of noise that the taps of an accelerator are built for."""

from collections.abc import Iterable, Sequence

from flow.errors import UserError, unknown
from flow.noise.base import Noise

PARTS = ("multiplies", "patterns", "drifts", "loads", "repeats", "converts")
"""Parts that a tap may lack: the fields of ``kinds_t`` in ``noise_tap_pkg.sv``, in order."""
EXECUTIONS, ADC = "executions", "adc"
_PARTS_OF = {
    "additive": (),
    "multiplicative": ("multiplies",),
    "mixed": ("multiplies",),
    "fixed-pattern": ("multiplies", "patterns"),
    "drift": ("multiplies", "drifts"),
    "empirical": ("loads",),
    EXECUTIONS: ("repeats",),
    ADC: ("converts",),
}
KINDS = tuple(_PARTS_OF)
"""What taps can be built for: kinds of noise, repeated executions, and an ADC."""


def parts_of(kinds: Iterable[str]) -> set[str]:
    """Return the parts that a tap of these kinds has.

    Raises:
        UserError: there is no such kind.
    """
    found: set[str] = set()
    for kind in kinds:
        if kind not in _PARTS_OF:
            raise unknown("kind of a tap", kind, KINDS)
        found.update(_PARTS_OF[kind])
    return found


def parameter(kinds: Iterable[str]) -> int:
    """Return ``KINDS`` of a tap of these kinds: a bit for each part, the first one highest."""
    parts = parts_of(kinds)
    return sum((part in parts) << bit for bit, part in enumerate(reversed(PARTS)))


def draws(kinds: int) -> int:
    """Return the number of samples of an element that a tap with this parameter makes at once."""
    return 1 + (kinds >> len(PARTS) - 1 - PARTS.index("multiplies") & 1)


def needed(noise: Noise) -> list[str]:
    """Return the kinds that a tap must be built for to make a noise."""
    also = {EXECUTIONS: noise.executions > 1, ADC: noise.adc is not None}
    return [noise.kind, *(kind for kind, asked in also.items() if asked)]


def require(asked: Iterable[str], built: Sequence[str]) -> None:
    """Check that taps are built for all that is asked of them.

    Raises:
        UserError: a kind is missing.
    """
    parts = parts_of(built)
    missing = [kind for kind in dict.fromkeys(asked) if not parts_of([kind]) <= parts]
    if missing:
        raise UserError(
            f"taps that are built for {' and '.join(built)} alone lack {' and '.join(missing)}: "
            "name that as well, or nothing, to build them for everything"
        )

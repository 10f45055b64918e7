"""Dividers of an ECP5's PLL, for the clock of the system on a board."""

import math
from dataclasses import dataclass
from fractions import Fraction

from flow.errors import UserError

_POSSIBLE_MHZ = (3.125, 400.0)
_LEAST_PHASE_MHZ = 3.125
"""Lowest frequency at which the phases are compared."""
_OSCILLATOR_MHZ = (400, 800)
_MOST_REFERENCE, _MOST_FEEDBACK, _MOST_POST = 128, 80, 128


@dataclass(frozen=True)
class Pll:
    """An EHXPLLL whose first output is fed back: f(out) = f(in) · feedback / reference."""

    reference: int
    feedback: int
    post: int
    """The oscillator runs at f(out) · post."""

    @classmethod
    def of(cls, source: float, wanted: float) -> "Pll":
        """Return the dividers that make a frequency.

        Args:
            source: frequency of the input, MHz.
            wanted: frequency of the output, MHz.

        Raises:
            UserError: none do; the message has the nearest frequencies.
        """
        ratios = {
            Fraction(feedback, reference)
            for reference in range(1, _MOST_REFERENCE + 1)
            if source / reference >= _LEAST_PHASE_MHZ
            for feedback in range(1, _MOST_FEEDBACK + 1)
        }
        lowest, highest = _OSCILLATOR_MHZ
        posts = [n for n in range(1, _MOST_POST + 1) if lowest <= wanted * n <= highest]
        ratio = min(ratios, key=lambda one: abs(source * one - wanted))
        if not posts or not math.isclose(source * ratio, wanted, rel_tol=1e-6):
            made = sorted(source * one for one in ratios)
            below = [mhz for mhz in made if _POSSIBLE_MHZ[0] <= mhz < wanted][-1:]
            above = [mhz for mhz in made if wanted < mhz <= _POSSIBLE_MHZ[1]][:1]
            raise UserError(
                f"the PLL does not make {wanted:g} MHz from the board's {source:g} MHz: choose "
                + " or ".join(f"{mhz:.6g}" for mhz in below + above)
            )
        return cls(ratio.denominator, ratio.numerator, posts[len(posts) // 2])

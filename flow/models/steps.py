"""A common step of two streams of unlike steps, for their sum in whole numbers."""

from fractions import Fraction

EXACT = 2.0**-22
"""Relative error of a ratio that float32's own rounding explains."""
SMALL = 64
"""Largest number of parts of a step that are looked for to make a ratio exact."""
MOST_GAIN = 1 << 14
"""Bound of gains, unless the steps lie further apart: a ratio is right to about 2^−15 or better."""


def common_step(left: float, right: float) -> tuple[tuple[int, int], float]:
    """Return whole gains of two steps, and the step of which both are about such multiples.

    Ratios of small whole numbers are exact up to float32's rounding.

    Args:
        left: a step, above 0.
        right: another one, above 0.
    """
    small, large = sorted((left, right))
    ratio = Fraction(large) / Fraction(small)
    most = max(1, int(MOST_GAIN / ratio))
    for parts in range(1, min(most, SMALL) + 1):
        found = Fraction(round(ratio * parts), parts)
        if abs(found - ratio) <= ratio * Fraction(EXACT):
            break
    else:
        found = ratio.limit_denominator(most)
    gains = (found.denominator, found.numerator)
    if left > right:
        gains = gains[::-1]
    # of the larger step, whose gain has the smaller relative error
    return gains, large / found.numerator

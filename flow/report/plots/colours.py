"""Colours of values, for graphics that Matplotlib does not draw."""

from matplotlib import colormaps
from matplotlib.colors import to_hex


def colour_of(share: float) -> str:
    """Return the colour of a value from 0 to 1, as ``#rrggbb``."""
    return to_hex(colormaps["cividis"](share))

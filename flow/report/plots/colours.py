"""Colours of values, for what is not drawn by Matplotlib."""

from matplotlib import colormaps
from matplotlib.colors import to_hex


def colour_of(share: float) -> str:
    """Return the colour of a value from 0 to 1, as ``#rrggbb``."""
    return to_hex(colormaps["cividis"](share))

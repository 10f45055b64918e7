"""Figures that a notebook shows without further ado."""

import io
import textwrap
from typing import Any

from matplotlib import figure
from matplotlib.text import Text

_CHARACTER = 0.55
"""Mean width of a character, as a share of the size of its font."""


class Figure(figure.Figure):
    """A matplotlib figure that needs no window, and that a notebook shows as a picture."""

    def suptitle(self, t: str, *, fontsize: float = 11, **options: Any) -> Text:
        """Write a title over all panels, on several lines where it is wider than the figure."""
        width = 72 * self.get_figwidth() / (_CHARACTER * fontsize)
        lines = (textwrap.fill(line, int(width)) for line in t.splitlines())
        return super().suptitle("\n".join(lines), fontsize=fontsize, **options)

    def _repr_png_(self) -> bytes:
        """Return the picture, PNG, for IPython."""
        content = io.BytesIO()
        self.savefig(content, format="png")
        return content.getvalue()

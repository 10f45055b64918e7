"""Figures that a notebook shows without further ado."""

import io

from matplotlib import figure


class Figure(figure.Figure):
    """A matplotlib figure that needs no window, and that a notebook shows as a picture."""

    def _repr_png_(self) -> bytes:
        """Return the picture, PNG, for IPython."""
        content = io.BytesIO()
        self.savefig(content, format="png")
        return content.getvalue()

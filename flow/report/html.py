"""Rendering of the pages' templates, and the format of numbers in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2


def environment() -> jinja2.Environment:
    """Return the environment that renders the pages' templates."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}  # keys keep their order
    environment.filters |= {"count": _count, "percent": _percent, "plain": _plain}
    return environment


def _count(value: int | None) -> str:
    return "not compared" if value is None else f"{value:,}"


def _percent(value: Any) -> str:
    """Return ``[accuracy, lo, hi]`` as text, with the interval."""
    if value is None:
        return "–"
    return "{:.2f} % [{:.2f}, {:.2f}]".format(*(100 * part for part in value))


def _plain(value: Any) -> str:
    """Return a value of the summary, which may be nested, on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)

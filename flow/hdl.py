"""HDL from templates: Python computes the values, a template holds the text.

A template is a file ``*.sv.j2`` or ``*.v.j2`` in the folder ``templates`` beside the module that
reads it. It names the fields of one dataclass, and the filters ``packed`` and ``signed``.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_FOLDER = "templates"


def render(reader: str, template: str, values: "DataclassInstance") -> str:
    """Return the text of a template.

    Args:
        reader: ``__file__`` of the module that reads it.
        template: the file's name.
        values: a dataclass; the template names its fields.
    """
    return _environment(Path(reader).with_name(_FOLDER)).get_template(template).render(vars(values))


def templates(reader: Path) -> list[Path]:
    """Return the templates that a module may read.

    Args:
        reader: the module's file.
    """
    return sorted(reader.with_name(_FOLDER).glob("*v.j2"))


@cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"packed": packed, "signed": signed}
    return environment


def signed_width(values: Iterable[int]) -> int:
    """Return the bits that hold each of some whole numbers in two's complement."""
    return 1 + max(max(value, -value - 1).bit_length() for value in values)


def pack(values: Iterable[int], width: int) -> int:
    """Return whole numbers as one word, each in two's complement, the first in the lowest bits.

    Args:
        values: fit into the width, signed or not.
        width: width of one value, bits.
    """
    mask = (1 << width) - 1
    return sum((value & mask) << place * width for place, value in enumerate(values))


def packed(values: Sequence[int], width: int) -> str:
    """Return the word of ``pack`` as a literal."""
    return f"{len(values) * width}'h{pack(values, width):x}"


def signed(value: int, width: int) -> str:
    """Return a whole number as a signed literal."""
    return f"{'-' if value < 0 else ''}{width}'sd{abs(value)}"

"""What the generated class of registers (`flow.soc.registers.generated`) is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from flow.errors import unknown


@dataclass(frozen=True)
class Field:
    """Some bits of a register."""

    name: str
    low: int
    width: int

    @property
    def mask(self) -> int:
        """Mask of the field's bits in the register."""
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True)
class Register:
    """A register of 32 bits."""

    offset: int
    """Offset from the first register of its block, bytes."""
    access: str
    """r, w or rw, by software."""
    reset: int | None
    """Its content after reset; None where hardware decides."""
    fields: tuple[Field, ...]

    @property
    def mask(self) -> int:
        """Mask of the bits that exist."""
        return sum(field.mask for field in self.fields)

    @property
    def writable(self) -> bool:
        """Whether software may write."""
        return "w" in self.access

    @property
    def readable(self) -> bool:
        """Whether software may read."""
        return "r" in self.access


class Block:
    """Registers behind a bus.

    Args:
        read: takes an offset in bytes, and returns the word there, or something to await for it.
        write: takes an offset and a word.
        base: offset of the block.
    """

    REGISTERS: ClassVar[dict[str, Register]] = {}

    def __init__(
        self, read: Callable[[int], Any], write: Callable[[int, int], Any], base: int = 0
    ) -> None:
        self._read = read
        self._write = write
        self.base = base

    def offset(self, name: str) -> int:
        """Return a register's offset in bytes; UserError if there is none of that name."""
        if name not in self.REGISTERS:
            raise unknown("register", name, self.REGISTERS)
        return self.base + self.REGISTERS[name].offset

    def read(self, name: str) -> Any:
        """Return what the bus gives."""
        return self._read(self.offset(name))

    def write(self, name: str, value: int) -> Any:
        """Write a word, and return what the bus gives."""
        return self._write(self.offset(name), value)

"""Where a user's kind of noise is written, and a hash of its code."""

import ast
import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from flow.numerics import code_of, file_digest


@dataclass(frozen=True)
class Origin:
    """The code of a class of noise that is not of this package."""

    name: str
    """Name of the class."""
    file: str
    """``file.py:Class``, below the working directory if it is there; empty for a notebook."""
    line: int | None
    """Line at which the class begins, if known."""
    code: str
    """Hash of the file's code, or of the notebook's cell; empty if the code is not found."""

    @classmethod
    def of(cls, made: type) -> Self | None:
        """Return where a class is being defined; None for a class of this package."""
        if made.__module__.partition(".")[0] == "flow":
            return None
        name = made.__qualname__
        module_file = getattr(sys.modules.get(made.__module__), "__file__", None)
        try:
            if module_file is not None:
                path = Path(module_file)
                text = path.read_text(encoding="utf-8")
                return cls(name, f"{shortened(path)}:{name}", _line(text, name), file_digest(path))
            text = "".join(linecache.getlines(_code_file(made)))
            return cls(name, "", _line(text, name), code_of(text)[:16] if text else "")
        except (OSError, SyntaxError, ValueError):
            return cls(name, "", None, "")

    def __str__(self) -> str:
        """Return the class with its place, for messages."""
        file = self.file.rpartition(":")[0] or "not in a file"
        return f"{self.name} ({file}{'' if self.line is None else f', line {self.line}'})"

    def to_json(self) -> dict[str, Any]:
        """Return what distinguishes two origins; the line, which comments move, does not."""
        return {"file": self.file, "code": self.code}


def shortened(path: Path) -> Path:
    """Return a file's path from the working directory, or the whole path if it is elsewhere."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _code_file(made: type) -> str:
    """Return the file of a class's first function: a notebook's cell has a name of its own."""
    functions = (value for value in vars(made).values() if hasattr(value, "__code__"))
    return next((one.__code__.co_filename for one in functions), "")


def _line(text: str, name: str) -> int | None:
    classes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef))
    return next((node.lineno for node in classes if node.name == name.rpartition(".")[2]), None)

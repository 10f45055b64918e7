"""A user's own Python code: ``path/to/file.py:name``, run in this process.

A mistake in it is a `flow.errors.UserError` with the file and line where it happened.
"""

import ast
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from flow.errors import UserError, unknown


def is_user_code(name: str) -> bool:
    """Whether a name has the form ``file.py:name``."""
    return ".py:" in name


def split(name: str) -> tuple[Path, str]:
    """Return the file and the name in it of ``file.py:name``."""
    path, _, inner = name.rpartition(":")
    return Path(path), inner


def run(path: Path) -> ModuleType:
    """Run a file, and return its module.

    Modules in the file's folder can be imported, as when the file is run as a script. They are read
    again each time, and so is the file: no byte code is kept.

    Raises:
        UserError: there is no such file, or it fails.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}: correct the name before the colon")
    spec = importlib.util.spec_from_file_location(f"user_code_{path.stem}", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    _forget(set(files_of(path)) - {path.resolve()})
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[spec.name] = module
    try:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        exec(code, vars(module))
    # a script may end with sys.exit
    except (Exception, SystemExit) as error:
        raise UserError(f"{path} cannot be run: {place(error, path)}") from error
    finally:
        sys.path.pop(0)
        sys.dont_write_bytecode = writes
    return module


def function(source: str) -> Callable[..., Any]:
    """Run a file and return a function that it defines.

    Args:
        source: ``path/to/file.py:function``.

    Raises:
        UserError: there is no such file or function, or the file fails.
    """
    path, name = split(source)
    module = run(path)
    functions = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
    found = getattr(module, name, None)
    if not callable(found):
        raise unknown(f"function in {path}", name, functions)
    return cast(Callable[..., Any], found)


def files_of(path: Path) -> list[Path]:
    """Return a file, and the files in its folder that it imports, directly or not, sorted.

    A file that is no Python counts, but imports nothing.
    """
    found: set[Path] = set()
    waiting = [path.resolve()]
    while waiting:
        one = waiting.pop()
        if one not in found and one.is_file():
            found.add(one)
            waiting += [one.with_name(f"{name}.py") for name in _imported(one)]
    return sorted(found)


def _imported(path: Path) -> set[str]:
    """Return the first parts of the names of the modules that a file imports."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):
        return set()
    names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}
    return {name.partition(".")[0] for name in names}


def _forget(files: set[Path]) -> None:
    """Let modules be imported again, since their files may have changed."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and file is not None and Path(file) in files:
            del sys.modules[name]


def place(error: BaseException, path: Path | None = None) -> str:
    """Return an error as ``file, line 3: ValueError: …``.

    Args:
        error: the error, with its traceback.
        path: file of which the innermost line is wanted; if not given, or if the error did not
            pass through it, the line that raised the error.
    """
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if path is not None and frame.filename == str(path)]
    frame = (own or frames)[-1]
    return f"{frame.filename}, line {frame.lineno}: {reason(error)}"


def reason(error: BaseException) -> str:
    """Return an error's type and the first line of its message."""
    lines = str(error).strip().split("\n")
    return f"{type(error).__name__}: {lines[0]}"

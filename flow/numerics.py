"""The code that a stored figure depends on, read from the code itself.

Whatever computes figures names its modules, as objects. All modules of this project that these
import count with them, down to the leaves, apart from those of `INERT`. So a file that is moved,
split or renamed is never left out. What is hashed is the parsed code: comments, docstrings and
layout do not count, every digit does. The templates of HDL that a module reads, and the C++ that it
loads, count with it, as they are.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from flow import callbacks, errors, files, hdl, native, paths, quiet, user_code, version
from flow.paths import REPOSITORY as ROOT

PACKAGES = ("flow", "sim")
"""Packages whose code counts; the versions of libraries are the caller's to name."""
INERT = frozenset(module.__name__ for module in (callbacks, errors, files, paths, quiet, version))
"""Modules that no figure depends on, although everything imports them."""


_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields in which a node of a syntax tree holds statements."""


def code_digest(*modules: ModuleType | str, root: Path = ROOT) -> str:
    """Hash modules and all that they import.

    Args:
        modules: the modules, or their full names.
        root: the folder that holds the packages.

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: no module was given, or one is not of this project.
    """
    return _code_digest(
        *(one if isinstance(one, str) else one.__name__ for one in modules), root=root
    )


@cache
def _code_digest(*modules: str, root: Path) -> str:
    names = closure(modules, root)
    codes = {name: _read(_path(name, root))[1] for name in names}
    return _digest(codes | sources(names, root))


def sources(names: Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """Return what modules read as text, by paths below ``root``: HDL templates, and C++."""
    found: set[Path] = set()
    for name in names:
        path, imported = _path(name, root), imports(name, root)
        if hdl.__name__ in imported:
            found.update(hdl.templates(path))
        if native.__name__ in imported and native.source(path).exists():
            found.add(native.source(path))
    return {path.relative_to(root).as_posix(): path.read_text() for path in found}


def _digest(codes: Mapping[str, str]) -> str:
    """Hash the code of modules, by name."""
    text = "\n".join(f"{name}\n{code}" for name, code in sorted(codes.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Hash the code of a user's file, and of the files in its folder that it imports.

    Returns:
        16 hexadecimal digits.

    Raises:
        SyntaxError: a file is not Python.
    """
    return _digest(
        {one.name: code_of(one.read_text(encoding="utf-8")) for one in user_code.files_of(path)}
    )


@cache
def package_digest(root: Path = ROOT) -> str:
    """Hash all code and templates of this project: processes that agree run the same code."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        kinds = ("py", "j2", "cpp")
        for path in sorted(p for end in kinds for p in (root / package).rglob(f"*.{end}")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _closure(names: tuple[str, ...], root: Path) -> tuple[str, ...]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in INERT:
            found.add(name)
            waiting += imports(name, root)
    return tuple(sorted(found))


def closure(names: Iterable[str], root: Path = ROOT) -> tuple[str, ...]:
    """Return the names of modules and of all that they import, sorted, without `INERT`.

    Raises:
        ValueError: no name was given, or one is not of a module of this project.
    """
    wanted = tuple(sorted(set(names)))
    if not wanted:
        raise ValueError("figures that depend on no code")
    return _closure(wanted, root)


@cache
def imports(name: str, root: Path = ROOT) -> frozenset[str]:
    """Return the modules of this project that a module imports, wherever in its code.

    What it imports for the type checker alone does not count. A name that a package's face gives
    stands for all that the face imports.
    """
    found: set[str] = set()
    for module, inner in _read(_path(name, root))[0]:
        full = f"{module}.{inner}" if inner else module
        found.add(full if _exists(full, root) else module)
    return frozenset(one for one in found if _exists(one, root))


@cache
def _read(path: Path) -> tuple[frozenset[tuple[str, str]], str]:
    """Return what a module imports, by module and name there, and the hash of its code.

    Of one parsing, which takes most of the time.
    """
    tree = _parsed(path.read_text(encoding="utf-8"))
    found: set[tuple[str, str]] = set()
    for node in _statements(tree, typing=False):
        if isinstance(node, ast.Import):
            found.update((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.level:
                raise ValueError(f"{path}: name modules in full, not relative to their package")
            found.update((node.module, alias.name) for alias in node.names)
    return frozenset(found), _hash(tree)


def _statements(tree: ast.AST, *, typing: bool = True) -> Iterator[ast.AST]:
    """Yield all that has a body, and every statement in it.

    Args:
        tree: where to begin.
        typing: whether to go into what stands under ``if TYPE_CHECKING:``.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        fields = list(_BODIES)
        if not typing and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            fields.remove("body")
        for name in fields:
            waiting += getattr(node, name, None) or []


@cache
def _path(name: str, root: Path) -> Path:
    """Return the file of a module of this project; ValueError where there is none."""
    first, *rest = name.split(".")
    base = root.joinpath(first, *rest)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if first in PACKAGES and path.is_file():
            return path
    raise ValueError(f"{name} is no module of {', '.join(PACKAGES)}")


def _exists(name: str, root: Path) -> bool:
    try:
        _path(name, root)
    except ValueError:
        return False
    return True


def code_of(text: str) -> str:
    """Hash what counts of a module's text: its code, without comments, docstrings and layout."""
    return _hash(_parsed(text))


def _hash(tree: ast.Module) -> str:
    for node in _statements(tree):
        for name in _BODIES:
            # a text that stands alone documents what is above it
            if body := getattr(node, name, None):
                setattr(node, name, [one for one in body if not _is_text(one)])
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _parsed(text: str) -> ast.Module:
    """Parse a module, again where CPython 3.11 fails because another thread parses as well."""
    for _ in range(5):
        try:
            return ast.parse(text)
        except SystemError:
            continue
    return ast.parse(text)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )

"""Brevitas without torch's compiler, which takes as long to import as all of torch.

On import, Brevitas uses only the compiler's ``is_compiling``. Its inference mode resets the
compiler, where there is nothing to reset before the first compilation. Brevitas imports the
compiler itself when it compiles.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch

_COMPILER = "torch._dynamo"


@contextmanager
def without_compiler() -> Iterator[None]:
    """Import Brevitas, or enter its inference mode, in a ``with`` block without the compiler."""
    if _COMPILER in sys.modules:
        yield
        return
    stand_in = ModuleType(_COMPILER)
    stand_in.is_compiling = torch.compiler.is_compiling  # type: ignore[attr-defined]
    stand_in.reset = lambda: None  # type: ignore[attr-defined]
    sys.modules[_COMPILER] = torch._dynamo = stand_in  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_COMPILER], torch._dynamo


with without_compiler():
    import brevitas.nn  # noqa: F401

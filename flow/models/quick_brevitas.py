"""Import of Brevitas without torch's compiler, which takes as long to import as all of torch.

On import, Brevitas uses only the compiler's ``is_compiling``. It imports the compiler itself when
it compiles.
"""

import sys
from types import ModuleType

import torch

_COMPILER = "torch._dynamo"

if _COMPILER not in sys.modules:
    _stand_in = ModuleType(_COMPILER)
    _stand_in.is_compiling = torch.compiler.is_compiling  # type: ignore[attr-defined]
    sys.modules[_COMPILER] = torch._dynamo = _stand_in  # type: ignore[assignment]
    try:
        import brevitas.export.inference
        import brevitas.nn  # noqa: F401
    finally:
        del sys.modules[_COMPILER], torch._dynamo

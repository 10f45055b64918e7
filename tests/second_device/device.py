"""A second device of torch on which nothing but the processor computes, for tests.

A tensor of it and one of the processor do not mix, as with a GPU: whoever forgets to bring a tensor
to the device gets a RuntimeError. What a GPU rounds or orders otherwise, this device does not show.
"""

import hashlib
import subprocess
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import torch
from filelock import FileLock
from torch.utils import cpp_extension

NAME = "second"
_SOURCE = Path(__file__).with_suffix(".cpp")


@cache
def second_device(folder: Path) -> torch.device:
    """Return the device, which is there from now on.

    Args:
        folder: folder of the library, which is compiled once for all that share it, by content.
    """
    command = _command()
    content = [*command, torch.__version__, _SOURCE.read_text()]
    digest = hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]
    library = folder / f"second-device-{digest}.so"
    with FileLock(library.with_suffix(".lock")):
        if not library.exists():
            part = library.with_suffix(".part")
            done = subprocess.run(
                [*command, "-o", str(part)], capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, done.stderr[:2000]
            part.rename(library)
    torch.ops.load_library(str(library))
    torch.utils.rename_privateuse1_backend(NAME)
    module = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 1, current_device=lambda: 0,
        is_initialized=lambda: True, _is_in_bad_fork=lambda: False,
        manual_seed_all=lambda seed: None, get_amp_supported_dtype=lambda: [torch.bfloat16],
    )  # fmt: skip
    torch._register_device_module(NAME, module)
    torch.utils.generate_methods_for_privateuse1_backend()
    return torch.empty(0, device=NAME).device


def _command() -> list[str]:
    headers = [f"-I{path}" for path in cpp_extension.include_paths()]
    (folder, *_) = cpp_extension.library_paths()
    command = ["g++", "-std=c++20", "-O0", "-fPIC", "-shared", *headers, str(_SOURCE)]
    return [*command, f"-L{folder}", "-ltorch_cpu", "-ltorch", "-lc10"]

"""Devices on which torch computes: the processor, and what torch knows of GPUs on this machine."""

import torch

from flow.errors import UserError

CPU = torch.device("cpu")


def key(device: torch.device) -> dict[str, str]:
    """Return what floats computed on a device depend on, for the keys of stored results.

    Devices order additions differently, so their floats differ in rounding. Integers do not.
    """
    return {} if device == CPU else {"device": device.type}


def names() -> list[str]:
    """Return the names of the devices that are there, such as ``cpu`` and ``cuda``."""
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return [CPU.type]
    several = range(torch.accelerator.device_count())
    numbered = [f"{found.type}:{n}" for n in several] if len(several) > 1 else []
    return [CPU.type, found.type, *numbered]


def find(name: str) -> torch.device:
    """Return a device, on which products of float32 numbers are exact to float32 from now on.

    By default, GPUs round the factors of a convolution to 11 bits (TF32).

    Args:
        name: one of `names`.

    Raises:
        UserError: there is no such device.
    """
    if name == CPU.type:
        return CPU
    there = names()
    if name not in there:
        why = ""
        if name.startswith("cuda") and torch.version.cuda is None:
            why = f" (torch {torch.__version__} is built without CUDA)"
        raise UserError(f"there is no device {name} here{why}: give {' or '.join(there)}")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    # a tensor's device has a number
    return torch.empty(0, device=name).device

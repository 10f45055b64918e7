"""Modules that torch itself prepared for quantisation-aware training (``torch.ao.quantization``).

torch's exporters do not know most of its fake quantisers. They know the arithmetic of these, which
`flow.models.qonnx.tidy.roundings` reads.
"""

import copy
import sys

import torch
from torch import Tensor, nn


class _Arithmetic(nn.Module):
    """What a fake quantiser computes: (clip(round(x / s) + z, low, high) − z) · s.

    Args:
        scale: step s, of one number or of each channel.
        limits: low − z and high − z, shaped as the step.
        axis: the axis of the channels.
    """

    def __init__(self, scale: Tensor, limits: tuple[Tensor, Tensor], axis: int) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("low", limits[0])
        self.register_buffer("high", limits[1])
        self.scale: Tensor
        self.low: Tensor
        self.high: Tensor
        self.axis = axis
        alike = all(bool((one == one.flatten()[0]).all()) for one in limits)
        self.limits = tuple(float(one.flatten()[0]) for one in limits) if alike else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the values as they are quantised."""
        shape = [-1 if n == self.axis else 1 for n in range(x.dim())]

        def shaped(numbers: Tensor) -> Tensor:
            return numbers if numbers.numel() == 1 else numbers.reshape(shape)

        scale = shaped(self.scale)
        steps = torch.round(x / scale)
        if self.limits is not None:
            return steps.clamp(*self.limits) * scale
        return torch.minimum(torch.maximum(steps, shaped(self.low)), shaped(self.high)) * scale


def has_fake_quantisers(module: nn.Module) -> bool:
    """Whether torch prepared a module for quantisation-aware training."""
    return any(isinstance(one, _kind()) for one in module.modules())


def _kind() -> type | tuple[type, ...]:
    """Return the class of torch's fake quantisers; whoever has such modules has imported it."""
    loaded = sys.modules.get("torch.ao.quantization.fake_quantize")
    return getattr(loaded, "FakeQuantize", ())


def as_arithmetic(module: nn.Module) -> nn.Module:
    """Return a module whose fake quantisers of torch are arithmetic; itself if it has none.

    They have the steps that they last had, and learn nothing any more. The module is not changed.
    """
    if not has_fake_quantisers(module):
        return module
    module = copy.deepcopy(module)
    # one may be in several places, as before and behind a pooling
    places = dict(module.named_modules(remove_duplicate=False))
    for path, one in places.items():
        if isinstance(one, _kind()):
            parent, _, name = path.rpartition(".")
            setattr(places[parent], name, _written(one))
    return module


def _written(given) -> nn.Module:
    """Return what a ``FakeQuantize`` computes."""
    if not given.fake_quant_enabled[0]:
        return nn.Identity()
    observer, zero = given.activation_post_process, given.zero_point.detach().float()
    limits = observer.quant_min - zero, observer.quant_max - zero
    return _Arithmetic(given.scale.detach().clone(), limits, given.ch_axis)

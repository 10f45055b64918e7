"""Quantisers and normalisation of the Brevitas BNN-PYNQ family.

Scales are constant and the integer range is narrow, so a 2-bit value is −1, 0 or 1, and a 1-bit
value −1 or 1: an accumulator is an integer in the unit of the layer's output.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import torch
from brevitas.core.bit_width import BitWidthImplType
from brevitas.core.function_wrapper import TensorClampSte
from brevitas.core.quant import BinaryQuant, ClampedBinaryQuant, IntQuant, QuantType
from brevitas.core.restrict_val import FloatToIntImplType, RestrictValueType
from brevitas.core.scaling import ScalingImplType
from brevitas.core.zero_point import ZeroZeroPoint
from brevitas.inject import ExtendedInjector
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from brevitas.quant.solver import ActQuantSolver, WeightQuantSolver
from dependencies import value
from torch import Tensor, nn

from flow.models.quick_brevitas import without_compiler
from flow.noise import WeightGrid, WeightTap


class _Rounding(torch.autograd.Function):
    """Rounding to a grid and clipping, in one node of the graph that gradients pass through."""

    @staticmethod
    def forward(ctx, x: Tensor, scale: Tensor, low: int, high: int, straight: bool) -> Tensor:  # type: ignore[no-untyped-def, override]  # torch lacks the type
        steps = (x / scale).round_()
        ctx.low, ctx.high, ctx.straight = low, high, straight
        ctx.save_for_backward(scale, *([] if straight else [steps]))
        return steps.clamp(low, high).mul_(scale)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def, override]
        scale, *steps = ctx.saved_tensors
        gradient = gradient * scale
        for clipped in steps:
            # masks and products by a mask are several passes over the memory, this is one
            gradient = torch.ops.aten.hardtanh_backward(
                gradient, clipped, ctx.low - 0.5, ctx.high + 0.5
            )
        return gradient.div_(scale), None, None, None, None


class _FusedIntQuant(IntQuant):
    """Brevitas' quantiser of a constant number of bits around zero, in fewer passes.

    Its values and gradients are equal. Brevitas clips by two `torch.where` of tensors, which took
    half of a training step.
    """

    _limits: tuple[int, int] | None = None

    def forward(self, scale: Tensor, zero_point: Tensor, bit_width: Tensor, x: Tensor) -> Tensor:
        """Return the values nearest to x on the grid, float of the shape of x."""
        if self._limits is None:
            self._limits = int(self.min_int(bit_width)), int(self.max_int(bit_width))
        straight = isinstance(self.tensor_clamp_impl, TensorClampSte)
        return _Rounding.apply(self.input_view_impl(x), scale, *self._limits, straight)


class _ConstQuant(ExtendedInjector):
    bit_width_impl_type = BitWidthImplType.CONST
    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP
    zero_point_impl = ZeroZeroPoint
    float_to_int_impl_type = FloatToIntImplType.ROUND
    scaling_per_output_channel = False
    narrow_range = True
    signed = True
    int_quant = _FusedIntQuant

    @value
    def quant_type(bit_width):  # type: ignore[no-untyped-def]
        return QuantType.BINARY if bit_width == 1 else QuantType.INT


class _WeightQuant(_ConstQuant, WeightQuantSolver):
    scaling_const = 1.0


class _ActQuant(_ConstQuant, ActQuantSolver):
    min_val = -1.0
    max_val = 1.0


def identity(bits: int) -> QuantIdentity:
    """Return an activation quantiser that rounds and clips to −1..1 with this many bits."""
    return QuantIdentity(act_quant=_ActQuant, bit_width=bits)


def stepped(bits: int, step: float, *, signed: bool) -> QuantIdentity:
    """Return an activation quantiser of a given step, so that outputs can be added as integers.

    Args:
        bits: bits of a value; signed values are narrow, unsigned values clip below 0 like a ReLU.
        step: difference between adjacent values, a power of two.
        signed: whether values may be negative.
    """
    largest = step * (2 ** (bits - signed) - 1)
    return QuantIdentity(
        act_quant=_ActQuant,
        bit_width=bits,
        signed=signed,
        narrow_range=signed,
        min_val=-largest if signed else 0.0,
        max_val=largest,
    )


class _InputQuant(_ConstQuant, ActQuantSolver):
    # steps of 1/128, -128/128 to 127/128
    restrict_scaling_type = RestrictValueType.POWER_OF_TWO
    narrow_range = False
    min_val = -1.0
    max_val = 1.0 - 2.0**-7


def input_identity() -> QuantIdentity:
    """Return the 8-bit quantiser of images: steps of 1/128 from −1 to 127/128."""
    return QuantIdentity(act_quant=_InputQuant, bit_width=8)


class _Linear(QuantLinear):
    """A fully connected layer whose quantised weights pass through a tap."""

    tap: WeightTap

    def inner_forward_impl(
        self, x: Tensor, quant_weight: Tensor, quant_bias: Tensor | None
    ) -> Tensor:
        return super().inner_forward_impl(x, self.tap(quant_weight), quant_bias)


class _Conv2d(QuantConv2d):
    """A convolution whose quantised weights pass through a tap."""

    tap: WeightTap

    def inner_forward_impl(
        self, x: Tensor, quant_weight: Tensor, quant_bias: Tensor | None
    ) -> Tensor:
        return super().inner_forward_impl(x, self.tap(quant_weight), quant_bias)


Layer = TypeVar("Layer", _Linear, _Conv2d)


def _with_tap(layer: Layer) -> Layer:
    """Add a tap to a layer's weights, and initialise them uniformly in −1..1."""
    nn.init.uniform_(layer.weight.data, -1, 1)
    quantised = layer.quant_weight()
    bits = int(quantised.bit_width)
    high = max(1, 2 ** (bits - 1) - 1)
    # constant, whatever the weights
    layer.tap = WeightTap(WeightGrid(float(quantised.scale), -high, high, 2 if bits == 1 else 1))
    return layer


def linear(inputs: int, outputs: int, bits: int) -> QuantLinear:
    """Return a fully connected layer without bias, with initial weights uniform in −1..1."""
    return _with_tap(
        _Linear(inputs, outputs, bias=False, weight_bit_width=bits, weight_quant=_WeightQuant)
    )


def convolution(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    bits: int,
    *,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    groups: int = 1,
) -> QuantConv2d:
    """Return a convolution without bias, with initial weights uniform in −1..1."""
    return _with_tap(
        _Conv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=padding,
            groups=groups,
            bias=False,
            weight_bit_width=bits,
            weight_quant=_WeightQuant,
        )
    )


@contextmanager
def inference_values(network: nn.Module, images: Tensor) -> Iterator[None]:
    """Set Brevitas' inference mode, in which a network computes the same values in fewer steps.

    Float networks are not changed, nor are those with one-bit quantisers, for which Brevitas has no
    such mode.

    Args:
        network: the network, in evaluation mode.
        images: one or more input images, which are run once to determine the scales.
    """
    modules = list(network.modules())
    quantised = any(isinstance(m, QuantProxyFromInjector) for m in modules)
    if not quantised or any(isinstance(m, (BinaryQuant, ClampedBinaryQuant)) for m in modules):
        yield
        return
    with ExitStack() as stack:
        with without_compiler():
            # takes a second to import, and only software walks need it
            from brevitas.export.inference import quant_inference_mode

            stack.enter_context(quant_inference_mode(network, cache_quant_weight=True))
        network(images)
        yield


class TensorNorm(nn.Module):
    """Batch normalisation with one mean, variance, gain and bias for the whole tensor.

    It ends a network: it keeps the order of the logits, so an accelerator need not compute it.
    """

    def __init__(self, eps: float = 1e-4, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))
        self.register_buffer("running_mean", torch.zeros(1))
        self.register_buffer("running_var", torch.ones(1))
        self.running_mean: Tensor
        self.running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, float [N, classes], in training by the batch's mean and variance."""
        x = x.float()
        if self.training:
            mean, var = x.mean(), x.var(correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean.detach(), self.momentum)
                self.running_var.lerp_(x.var(correction=1).detach(), self.momentum)
        else:
            mean, var = self.running_mean, self.running_var
        return (x - mean) / (var + self.eps).pow(0.5) * self.weight + self.bias

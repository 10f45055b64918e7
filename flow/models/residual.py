"""Quantised residual networks: ResNet-8 of MLPerf Tiny, and ResNet-18."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from flow.models.blocks import Conv, Last, small_image
from flow.models.network import Network
from flow.models.quantisers import identity, input_identity, stepped
from flow.noise import NoiseTap

STEP = 0.25
"""Step of all activations between additions, so that the adder's operands are integers of one
scale. Batch norm produces values of standard deviation 1, which 4 bits of this step cover."""


class Residual(nn.Module):
    """Two 3×3 convolutions with a shortcut: conv1(conv0(x)) + shortcut(x) → quant → act.

    The shortcut is a 1×1 convolution if the image shrinks or the channels change, otherwise x
    itself. The summands are signed, so the sum may be smaller than x; sums are clipped below 0.

    Args:
        inputs: input channels.
        outputs: output channels.
        stride: stride of the first convolution and of the shortcut, pixels.
        weight_bits: bits of a weight.
        act_bits: bits of an activation.
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int, weight_bits: int, act_bits: int
    ) -> None:
        super().__init__()
        bits = {"weight_bits": weight_bits, "act_bits": act_bits}
        self.conv0 = Conv(
            inputs,
            outputs,
            kernel=3,
            stride=stride,
            padding=1,
            quant=stepped(act_bits, STEP, signed=False),
            **bits,
        )
        term = stepped(act_bits, STEP, signed=True)
        self.conv1 = Conv(outputs, outputs, kernel=3, padding=1, quant=term, **bits)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            term = stepped(act_bits, STEP, signed=True)
            self.shortcut = Conv(inputs, outputs, kernel=1, stride=stride, quant=term, **bits)
        self.quant = stepped(act_bits, STEP, signed=False)
        self.act = NoiseTap(requantise=self.quant)

    def forward(self, x: Tensor) -> Tensor:
        """Return activations, float [N, outputs, H / stride, W / stride], of [N, inputs, H, W]."""
        return self.act(self.quant(self.conv1(self.conv0(x)) + self.shortcut(x)))


class Average(nn.Module):
    """mean over the image → bn → quant → act.

    The batch norm has no gain: a negative one would reverse a comparison, and there are no weights
    upstream to absorb the sign.

    Args:
        channels: input and output channels.
        act_bits: bits of an activation.
    """

    def __init__(self, channels: int, act_bits: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.bn = nn.BatchNorm2d(channels, affine=False)
        self.quant = identity(act_bits)
        self.act = NoiseTap(requantise=self.quant)

    def forward(self, x: Tensor) -> Tensor:
        """Return activations, float [N, C, 1, 1], of [N, C, H, W]."""
        return self.act(self.quant(self.bn(self.pool(x))))


class ResNet(Network):
    """A 3×3 convolution, residual blocks and a mean, for images of 32×32×3.

    `flow.data.to_input` fits smaller images and images of one channel. Sites: input, conv.acc,
    conv.act, then for each block, such as stage1, stage1.conv0.acc … stage1.conv1.act, (where the
    image or its channels change) stage1.shortcut.acc and stage1.shortcut.act, stage1.act, then
    average.act and fc.acc.

    Args:
        name: the registered name.
        image_shape: (H, W, C) of the data set's images.
        classes: number of classes.
        weight_bits: bits of a weight.
        act_bits: bits of an activation; the input has 8.
        width: channels of the first block; if None, as the class says.

    Raises:
        UserError: the images cannot be fitted.
    """

    blocks: ClassVar[Mapping[str, int]]
    """Residual blocks in order, with their channels as a multiple of the width. A block of more
    channels than the one before halves the image's side."""
    usual_width: ClassVar[int]

    def __init__(
        self,
        name: str,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        weight_bits: int,
        act_bits: int,
        width: int | None = None,
    ) -> None:
        super().__init__(name, small_image(name, image_shape), classes)
        bits = {"weight_bits": weight_bits, "act_bits": act_bits}
        width = width or self.usual_width
        self.input_quant = input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        quant = stepped(act_bits, STEP, signed=False)
        self.conv = Conv(3, width, kernel=3, padding=1, quant=quant, **bits)
        channels = width
        for block, multiple in self.blocks.items():
            outputs = width * multiple
            stride = 1 if outputs == channels else 2
            setattr(self, block, Residual(channels, outputs, stride=stride, **bits))
            channels = outputs
        self.average = Average(channels, act_bits)
        self.fc = Last(channels, classes, weight_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, float [N, classes], of images, float [N, 3, 32, 32] in −1..1."""
        x = self.conv(self.input(self.input_quant(x)))
        for block in self.blocks:
            x = getattr(self, block)(x)
        return self.fc(self.average(x).flatten(1))


class ResNet8(ResNet):
    """ResNet-8 of MLPerf Tiny: three stages of one block."""

    blocks: ClassVar[Mapping[str, int]] = {"stage0": 1, "stage1": 2, "stage2": 4}
    usual_width = 16


class ResNet18(ResNet):
    """ResNet-18 (He et al., arXiv 1512.03385) in an eighth of its width: four stages of two."""

    blocks: ClassVar[Mapping[str, int]] = {f"block{n}": 1 << n // 2 for n in range(8)}
    usual_width = 8

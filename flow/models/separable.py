"""Quantised networks of depth-wise separable convolutions: MobileNet-v1 and DS-CNN."""

from torch import Tensor, nn

from flow.data.speech import COEFFICIENTS, FRAMES
from flow.errors import UserError
from flow.models.blocks import Conv, Last, small_image
from flow.models.network import Network
from flow.models.quantisers import input_identity, stepped
from flow.models.residual import STEP, Average
from flow.noise import NoiseTap


def _conv(inputs: int, outputs: int, kernel: int | tuple[int, int], bits: int, **more) -> Conv:
    """Return a convolution followed by a ReLU, with weights and activations of this many bits."""
    quant = stepped(bits, STEP, signed=False)
    return Conv(
        inputs, outputs, kernel=kernel, weight_bits=bits, act_bits=bits, quant=quant, **more
    )


class Separable(nn.Module):
    """A 3×3 convolution of each channel by itself, then a 1×1 convolution of all channels.

    Args:
        inputs: input channels.
        outputs: output channels.
        stride: stride of the 3×3 convolution, pixels.
        bits: bits of a weight and of an activation.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, bits: int) -> None:
        super().__init__()
        self.depth = _conv(inputs, inputs, 3, bits, stride=stride, padding=1, groups=inputs)
        self.point = _conv(inputs, outputs, 1, bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return activations, float [N, outputs, H / stride, W / stride], of [N, inputs, H, W]."""
        return self.point(self.depth(x))


class MobileNet(Network):
    """MobileNet-v1 (Howard et al., arXiv 1704.04861) for images of 32×32×3.

    Its first convolution does not stride, and of its 13 separable convolutions four do. Smaller
    images and images of one channel are fitted by `flow.data.to_input`. Sites: input, conv.acc,
    conv.act, block0.depth.acc … block12.point.act, average.act, fc.acc.

    Args:
        name: the registered name.
        image_shape: (H, W, C) of the data set's images.
        classes: number of classes.
        bits: bits of a weight and of an activation; the input has 8.
        width: channels of the first convolution, 32 in MobileNet; the other layers scale with it.

    Raises:
        UserError: the images cannot be fitted.
    """

    def __init__(
        self,
        name: str,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        bits: int,
        width: int = 8,
    ) -> None:
        super().__init__(name, small_image(name, image_shape), classes)
        self.input_quant = input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        self.conv = _conv(3, width, 3, bits, padding=1)
        channels, blocks = width, []
        for factor, stride in (
            *((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2)),
            *[(16, 1)] * 5,
            *((32, 2), (32, 1)),
        ):
            blocks.append(Separable(channels, factor * width, stride=stride, bits=bits))
            channels = factor * width
        for number, block in enumerate(blocks):
            setattr(self, f"block{number}", block)
        self.blocks = len(blocks)
        self.average = Average(channels, bits)
        self.fc = Last(channels, classes, bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, float [N, classes], of images, float [N, 3, 32, 32] in −1..1."""
        x = self.conv(self.input(self.input_quant(x)))
        for number in range(self.blocks):
            x = getattr(self, f"block{number}")(x)
        return self.fc(self.average(x).flatten(1))


class DSCNN(Network):
    """The small depth-wise separable CNN for keywords of *Hello Edge* (arXiv 1711.07128).

    A 4×10 convolution with stride 2, four separable convolutions and a mean. Features of sounds,
    10×49, are quantised from −127 to 127 in steps of 1; other images from −1 to 1. Sites: input,
    conv.acc, conv.act, block0.depth.acc … block3.point.act, average.act, fc.acc.

    Args:
        name: the registered name.
        image_shape: (coefficients, frames, channels) of the features, or (H, W, C) of an image.
        classes: number of classes.
        bits: bits of a weight and of an activation; the input has 8.
        width: channels of each convolution, 64 in the original.

    Raises:
        UserError: the images are too small.
    """

    def __init__(
        self,
        name: str,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        bits: int,
        width: int = 64,
    ) -> None:
        super().__init__(name, image_shape, classes)
        height, wide, channels = image_shape
        if min(height, wide) < 4:
            raise UserError(
                f"{name} takes images of at least 4×4 values, not {height}×{wide}: take a data set "
                "that fits"
            )
        sounds = (height, wide) == (COEFFICIENTS, FRAMES)
        self.input_quant = stepped(8, 1.0, signed=True) if sounds else input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        self.conv = _conv(channels, width, (4, 10), bits, stride=2, padding=(1, 5))
        self.block0 = Separable(width, width, stride=1, bits=bits)
        self.block1 = Separable(width, width, stride=1, bits=bits)
        self.block2 = Separable(width, width, stride=1, bits=bits)
        self.block3 = Separable(width, width, stride=1, bits=bits)
        self.average = Average(width, bits)
        self.fc = Last(width, classes, bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, float [N, classes], of features or images, float [N, C, H, W]."""
        x = self.conv(self.input(self.input_quant(x)))
        x = self.block3(self.block2(self.block1(self.block0(x))))
        return self.fc(self.average(x).flatten(1))

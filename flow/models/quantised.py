"""Quantised networks: TFC, SFC, LFC and CNV of the Brevitas BNN-PYNQ family, and LeNet-5."""

import math

from torch import Tensor, nn

from flow.errors import UserError
from flow.models.blocks import Conv, Dense, Last, small_image
from flow.models.network import Network
from flow.models.quantisers import identity, input_identity
from flow.noise import NoiseTap


class CNV(Network):
    """Six 3×3 convolutions, two max poolings and three dense layers, on images of 32×32×3.

    `flow.data.to_input` fits smaller images and images of one channel. Sites: input,
    conv0.acc, conv0.act … conv5.act, fc0.acc … fc1.act, fc2.acc.

    Args:
        name: the registered name.
        image_shape: (H, W, C) of the data set's images.
        classes: number of classes.
        weight_bits: bits of a weight.
        act_bits: bits of an activation; the input has 8.
        width: channels of the first convolution, 64 in CNV; the other layers scale with it.

    Raises:
        UserError: the images cannot be fitted.
    """

    def __init__(
        self,
        name: str,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        weight_bits: int,
        act_bits: int,
        width: int = 64,
    ) -> None:
        super().__init__(name, small_image(name, image_shape), classes)
        self.input_quant = input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        channels = 3
        bits = {"weight_bits": weight_bits, "act_bits": act_bits}
        for i, (factor, pool) in enumerate(((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 1))):
            block = Conv(channels, factor * width, kernel=3, pool=pool, **bits)
            setattr(self, f"conv{i}", block)
            channels = factor * width
        self.fc0 = Dense(channels, 8 * width, **bits)
        self.fc1 = Dense(8 * width, 8 * width, **bits)
        self.fc2 = Last(8 * width, classes, weight_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, float [N, classes], of images, float [N, 3, 32, 32] in −1..1."""
        x = self.input(self.input_quant(x))
        for i in range(6):
            x = getattr(self, f"conv{i}")(x)
        return self.fc2(self.fc1(self.fc0(x.flatten(1))))


class LeNet5(Network):
    """Quantised C6@5-P2-C16@5-P2-F120-F84-F10, as in *Walking Noise*, for images of at least 16×16.

    Sites: input, conv0.acc, conv0.act, conv1.acc, conv1.act, fc0.acc … fc1.act, fc2.acc.

    Args:
        name: the registered name.
        image_shape: (H, W, C) of an image.
        classes: number of classes.
        weight_bits: bits of a weight.
        act_bits: bits of an activation; the input has 8.

    Raises:
        UserError: the images are too small for two convolutions and poolings.
    """

    def __init__(
        self,
        name: str,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        weight_bits: int,
        act_bits: int,
    ) -> None:
        super().__init__(name, image_shape, classes)
        height, width = (((side - 4) // 2 - 4) // 2 for side in image_shape[:2])
        if min(height, width) < 1:
            raise UserError(
                f"{name} takes images of at least 16×16 pixels, not "
                f"{image_shape[0]}×{image_shape[1]}: take a data set that fits"
            )
        bits = {"weight_bits": weight_bits, "act_bits": act_bits}
        self.input_quant = input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        self.conv0 = Conv(image_shape[2], 6, kernel=5, pool=2, **bits)
        self.conv1 = Conv(6, 16, kernel=5, pool=2, **bits)
        self.fc0 = Dense(16 * height * width, 120, **bits)
        self.fc1 = Dense(120, 84, **bits)
        self.fc2 = Last(84, classes, weight_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, float [N, classes], of images, float [N, C, H, W] in −1..1."""
        x = self.conv1(self.conv0(self.input(self.input_quant(x))))
        return self.fc2(self.fc1(self.fc0(x.flatten(1))))


DROPOUT = 0.2


class FullyConnected(Network):
    """Three equal hidden layers and an output layer: sites input, fc0.acc … fc2.act, fc3.acc.

    Args:
        name: the registered name.
        image_shape: (H, W, C) of an image.
        classes: number of classes.
        width: neurons of a hidden layer.
        weight_bits: bits of a weight.
        act_bits: bits of an activation; the input has 2 bits unless weights *and* activations
            have 1.
    """

    def __init__(
        self,
        name: str,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        width: int,
        weight_bits: int,
        act_bits: int,
    ) -> None:
        super().__init__(name, image_shape, classes)
        self.input_quant = identity(act_bits)
        self.input = NoiseTap(requantise=self.input_quant)
        self.input_dropout = nn.Dropout(DROPOUT)
        self.fc0 = Dense(math.prod(image_shape), width, weight_bits, act_bits, DROPOUT)
        self.fc1 = Dense(width, width, weight_bits, act_bits, DROPOUT)
        self.fc2 = Dense(width, width, weight_bits, act_bits, DROPOUT)
        self.fc3 = Last(width, classes, weight_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, float [N, classes], of images, float [N, C, H, W] in −1..1."""
        x = self.input_dropout(self.input(self.input_quant(x.flatten(1))))
        return self.fc3(self.fc2(self.fc1(self.fc0(x))))

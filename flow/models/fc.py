"""The fully connected networks of the Brevitas BNN-PYNQ family: TFC, SFC and LFC."""

import math

from torch import Tensor, nn

from flow.models.blocks import Dense, Last
from flow.models.network import Network
from flow.models.quantisers import identity
from flow.noise import NoiseTap

DROPOUT = 0.2


class FullyConnected(Network):
    """Three hidden layers of one width and a last one: sites input, fc0.acc … fc2.act, fc3.acc.

    Args:
        name: the registered name.
        image_shape: (H, W, C) of an image.
        classes: how many classes.
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

"""Building blocks of the networks: layers with taps at their accumulator and activation."""

from brevitas.nn import QuantIdentity
from torch import Tensor, nn

from flow.errors import UserError
from flow.models.quantisers import TensorNorm, convolution, identity, linear
from flow.noise import NoiseTap


class Dense(nn.Module):
    """linear → acc → bn → quant → act → dropout."""

    def __init__(
        self, inputs: int, outputs: int, weight_bits: int, act_bits: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.linear = linear(inputs, outputs, weight_bits)
        self.acc = NoiseTap()
        self.bn = nn.BatchNorm1d(outputs)
        self.quant = identity(act_bits)
        self.act = NoiseTap(requantise=self.quant)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.acc(self.linear(x)))
        return self.dropout(self.act(self.quant(x)))


class Conv(nn.Module):
    """conv → acc → bn → quant → pool → act.

    Args:
        inputs: input channels.
        outputs: output channels.
        kernel: side of the kernel, or (H, W), pixels.
        weight_bits: bits of a weight.
        act_bits: bits of an activation.
        pool: side and stride of the max pooling, pixels; 1 for none.
        stride: stride of the convolution, pixels.
        padding: zero padding around the image, of all sides or (H, W), pixels.
        groups: groups of channels, each of which is convolved by itself.
        quant: quantiser of the activations; ``identity(act_bits)`` if None.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int | tuple[int, int],
        weight_bits: int,
        act_bits: int,
        pool: int = 1,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        groups: int = 1,
        quant: QuantIdentity | None = None,
    ) -> None:
        super().__init__()
        self.conv = convolution(
            inputs, outputs, kernel, weight_bits, stride=stride, padding=padding, groups=groups
        )
        self.acc = NoiseTap()
        self.bn = nn.BatchNorm2d(outputs)
        self.quant = quant or identity(act_bits)
        self.pool = nn.MaxPool2d(pool) if pool > 1 else nn.Identity()
        self.act = NoiseTap(requantise=self.quant)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.acc(self.conv(x)))
        return self.act(self.pool(self.quant(x)))


class Last(nn.Module):
    """linear → acc → norm."""

    def __init__(self, inputs: int, classes: int, weight_bits: int) -> None:
        super().__init__()
        self.linear = linear(inputs, classes, weight_bits)
        self.acc = NoiseTap()
        self.norm = TensorNorm()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.acc(self.linear(x)))


def small_image(name: str, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return (32, 32, 3), the input of a network that takes smaller images fitted.

    Raises:
        UserError: images of this shape cannot be fitted.
    """
    height, width, channels = image_shape
    if height > 32 or width > 32 or channels not in (1, 3):
        raise UserError(
            f"{name} takes images of up to 32×32 pixels and 1 or 3 channels, not "
            f"{height}×{width}×{channels}: take a data set that fits"
        )
    return 32, 32, 3

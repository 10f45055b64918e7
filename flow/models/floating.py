"""Float networks of *Walking Noise* (Borras, Klein, Fröning, ECML PKDD 2024).

Every module is followed by a noise site. Weights have PyTorch's default initialisation.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from flow.errors import UserError
from flow.models.network import Network, Recipe
from flow.noise import NoiseTap
from flow.noise.site import Site

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2023, 0.1994, 0.2010)
"""Standard deviations of CIFAR-10's channels, in 0..1; SVHN uses them too, as in the paper."""


class Normalise(nn.Module):
    """Normalisation of images in −1..1: mean 0 and standard deviation 1 for three channels.

    Images of one channel are not changed: their range −1..1 is normalisation by 0.5 and 0.5. The
    public code of the paper leaves those of MNIST in 0..1, as `zero_to_one` does.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        mean, std = (MEAN, STD) if channels == 3 else ((0.5,), (0.5,))
        shape = (1, -1, 1, 1)
        shift, scale = torch.tensor(mean).view(shape), torch.tensor(std).view(shape)
        self.register_buffer("shift", shift, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.shift: Tensor
        self.scale: Tensor
        self.zero_to_one = False

    def forward(self, x: Tensor) -> Tensor:
        """Return float [N, C, H, W] of images, float [N, C, H, W] in −1..1."""
        if self.zero_to_one:
            return x * 0.5 + 0.5
        return (x * 0.5 + (0.5 - self.shift)) / self.scale


class FloatConv(nn.Module):
    """conv → acc, → norm → bn with batch norm, → relu → act, → max pool → pool if it pools.

    Args:
        inputs: input channels.
        outputs: output channels.
        kernel: height and width of the kernel, pixels; one number for both.
        stride: steps of the kernel, pixels, in the same way.
        padding: zero padding around the image, pixels.
        batch_norm: whether to use batch norm; the convolution has a bias otherwise.
        pool: side and stride of the pooling, pixels; 1 for none.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int = 0,
        batch_norm: bool,
        pool: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride=stride, padding=padding, bias=not batch_norm
        )
        self.acc = NoiseTap()
        self.norm, self.bn = _tapped(nn.BatchNorm2d(outputs) if batch_norm else None)
        self.act = NoiseTap()
        self.max, self.pool = _tapped(nn.MaxPool2d(pool) if pool > 1 else None)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.norm(self.acc(self.conv(x))))
        return self.pool(self.max(self.act(x.relu())))


class FloatDense(nn.Module):
    """linear → acc, → norm → bn with batch norm, → relu → act."""

    def __init__(self, inputs: int, outputs: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=not batch_norm)
        self.acc = NoiseTap()
        self.norm, self.bn = _tapped(nn.BatchNorm1d(outputs) if batch_norm else None)
        self.act = NoiseTap()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.norm(self.acc(self.linear(x)))).relu())


class FloatLast(nn.Module):
    """linear → acc."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, classes)
        self.acc = NoiseTap()

    def forward(self, x: Tensor) -> Tensor:
        return self.acc(self.linear(x))


class FloatNetwork(Network):
    """A float network: a walk visits every site, and training follows the paper.

    Its modules form a chain from the input; the site ``input`` follows the normalisation.
    """

    recipe: ClassVar[Recipe] = Recipe(lr=1e-3, batch=128, clamp=False)

    def __init__(self, name: str, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(name, image_shape, classes)
        self.normalise = Normalise(image_shape[2])
        self.input = NoiseTap()

    @property
    def zero_to_one(self) -> bool:  # type: ignore[override]
        """Whether the images are in 0..1 behind the normalisation."""
        return self.normalise.zero_to_one

    @zero_to_one.setter
    def zero_to_one(self, value: bool) -> None:
        self.normalise.zero_to_one = value

    @property
    def walk_sites(self) -> list[Site]:
        """Every site, in the order of the data flow."""
        return self.sites

    def _add(self, **layers: nn.Module) -> None:
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, float [N, classes], of images, float [N, C, H, W] in −1..1."""
        x = self.input(self.normalise(x))
        for layer in list(self.children())[2:]:
            dense = isinstance(layer, FloatDense | FloatLast)
            x = layer(x.flatten(1) if dense else x)
        return x


class FloatMLP(FloatNetwork):
    """Three hidden layers of 64 neurons with ReLU.

    Args:
        name: the registered name.
        image_shape: (H, W, C) of an image.
        classes: number of classes.
        batch_norm: whether a batch norm follows each hidden layer.
    """

    def __init__(
        self, name: str, image_shape: tuple[int, int, int], classes: int, *, batch_norm: bool
    ) -> None:
        super().__init__(name, image_shape, classes)
        self._add(
            fc0=FloatDense(math.prod(image_shape), 64, batch_norm=batch_norm),
            fc1=FloatDense(64, 64, batch_norm=batch_norm),
            fc2=FloatDense(64, 64, batch_norm=batch_norm),
            fc3=FloatLast(64, classes),
        )


class FloatLeNet5(FloatNetwork):
    """C6@5-P2-C16@5-P2-F120-F84-F10 with ReLU and max pooling: 12 sites, or 16 with batch norm.

    Args:
        name: the registered name.
        image_shape: (H, W, C) of an image, at least 16×16.
        classes: number of classes.
        batch_norm: whether a batch norm follows each layer but the last.

    Raises:
        UserError: the images are too small for two convolutions and poolings.
    """

    def __init__(
        self, name: str, image_shape: tuple[int, int, int], classes: int, *, batch_norm: bool
    ) -> None:
        super().__init__(name, image_shape, classes)
        pixels = math.prod(((side - 4) // 2 - 4) // 2 for side in image_shape[:2])
        if min(image_shape[:2]) < 16:
            raise UserError(
                f"{name} takes images of at least 16×16 pixels, not "
                f"{image_shape[0]}×{image_shape[1]}: take a data set that fits"
            )
        self._add(
            conv0=FloatConv(image_shape[2], 6, kernel=5, pool=2, batch_norm=batch_norm),
            conv1=FloatConv(6, 16, kernel=5, pool=2, batch_norm=batch_norm),
            fc0=FloatDense(16 * pixels, 120, batch_norm=batch_norm),
            fc1=FloatDense(120, 84, batch_norm=batch_norm),
            fc2=FloatLast(84, classes),
        )


class FloatVGG11(FloatNetwork):
    """Configuration A of Simonyan and Zisserman (arXiv 1409.1556), for images of 32×32.

    Eight 3×3 convolutions, 64-P-128-P-256-256-P-512-512-P-512-512-P, and one dense layer instead of
    three, as usual for images of 32×32, which the five poolings reduce to one pixel. Smaller images
    get a black border from `flow.data.to_input`. The network has 23 sites, or 31 with batch norm.

    Args:
        name: the registered name.
        image_shape: (H, W, C) of the data set's images.
        classes: number of classes.
        batch_norm: whether a batch norm follows each convolution.
    """

    def __init__(
        self, name: str, image_shape: tuple[int, int, int], classes: int, *, batch_norm: bool
    ) -> None:
        height, width, colours = image_shape
        super().__init__(name, (max(32, height), max(32, width), colours), classes)
        pixels = math.prod(side // 32 for side in self.image_shape[:2])
        channels = (colours, 64, 128, 256, 256, 512, 512, 512, 512)
        pooled = (0, 1, 3, 5, 7)
        for i in range(8):
            layer = FloatConv(
                channels[i],
                channels[i + 1],
                kernel=3,
                padding=1,
                batch_norm=batch_norm,
                pool=2 if i in pooled else 1,
            )
            self._add(**{f"conv{i}": layer})
        self._add(fc0=FloatLast(channels[-1] * pixels, classes))


class FloatKeywordCNN(FloatNetwork):
    """C28@4×10-C30@4×10-F128 with ReLU, for keywords: 8 sites, or 11 with batch norm.

    This is the small CNN of *Hello Edge* (Zhang et al., arXiv 1711.07128) without its low-rank
    layer, as in the paper. The first convolution steps by two frames.

    Args:
        name: the registered name.
        image_shape: (coefficients, frames, channels) of the features, at least 7×29.
        classes: number of classes.
        batch_norm: whether a batch norm follows each layer but the last.

    Raises:
        UserError: the images are too small for two convolutions.
    """

    def __init__(
        self, name: str, image_shape: tuple[int, int, int], classes: int, *, batch_norm: bool
    ) -> None:
        super().__init__(name, image_shape, classes)
        height, width, channels = image_shape
        if height < 7 or width < 29:
            raise UserError(
                f"{name} takes images of at least 7×29 values, not {height}×{width}: take a data "
                "set that fits, such as speech-commands"
            )
        pixels = (height - 6) * ((width - 10) // 2 + 1 - 9)
        self._add(
            conv0=FloatConv(channels, 28, kernel=(4, 10), stride=(1, 2), batch_norm=batch_norm),
            conv1=FloatConv(28, 30, kernel=(4, 10), batch_norm=batch_norm),
            fc0=FloatDense(30 * pixels, 128, batch_norm=batch_norm),
            fc1=FloatLast(128, classes),
        )


def _tapped(module: nn.Module | None) -> tuple[nn.Module, nn.Module]:
    """Return a module and its tap, or two identities if there is no module."""
    return (nn.Identity(), nn.Identity()) if module is None else (module, NoiseTap())

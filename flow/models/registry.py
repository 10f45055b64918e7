"""Register of the networks by name.

``build("tfc-w2a2")`` makes a network. A new module adds its networks with `register`, without any
change in callers. A custom network is named by its file (`flow.models.qonnx.network`).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from flow.errors import UserError, unknown
from flow.models.floating import FloatKeywordCNN, FloatLeNet5, FloatMLP, FloatVGG11
from flow.models.network import Network, Recipe
from flow.models.quantised import CNV, FullyConnected, LeNet5
from flow.models.residual import ResNet8, ResNet18
from flow.models.separable import DSCNN, MobileNet

Factory = Callable[[str, tuple[int, int, int], int], Network]

_FACTORIES: dict[str, Factory] = {}
_ALIASES: dict[str, str] = {}


def register(name: str, factory: Factory, *, alias: str | None = None) -> None:
    """Add a network to the register.

    Args:
        name: full name of the network, e.g. ``tfc-w2a2``.
        factory: a function of (name, (H, W, C) of an image, number of classes).
        alias: short name of the network.
    """
    _FACTORIES[name] = factory
    if alias is not None:
        _ALIASES[alias] = name


def names() -> list[str]:
    """Return every full name."""
    return list(_FACTORIES)


def is_custom(name: str) -> bool:
    """Whether a network is custom, named by its QONNX file."""
    return name.endswith(".onnx")


def resolve(name: str) -> str:
    """Return the full name for a full or short name, or raise a UserError that names the nearest.

    A custom network is named after its file.
    """
    if is_custom(name):
        if not Path(name).is_file():
            raise UserError(f"there is no network file {name}: correct the name")
        return Path(name).stem
    full = _ALIASES.get(name, name)
    if full not in _FACTORIES:
        raise unknown("model", name, [*_FACTORIES, *_ALIASES])
    return full


def build(name: str, image_shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10) -> Network:
    """Make a network with weights drawn from torch's global generator.

    Args:
        name: a full or short name; ``tfc`` means ``tfc-w2a2``.
        image_shape: (H, W, C) of the images.
        classes: number of classes; 0 for images without labels.

    Raises:
        UserError: there is no such network, or the images have no labels and thus no classes.
    """
    made = _factory(name)
    if not classes:
        raise UserError(
            f"{resolve(name)} cannot be trained on images without labels: give labels y, or a "
            "network that is trained"
        )
    return made(resolve(name), image_shape, classes)


def _factory(name: str) -> Factory:
    if is_custom(name):
        raise UserError(f"{name} is trained already: only built-in networks can be trained")
    return _FACTORIES[resolve(name)]


def recipe(name: str) -> Recipe:
    """Return the default training settings of a network, by full or short name."""
    factory = _factory(name)
    made = factory.func if isinstance(factory, partial) else factory
    return getattr(made, "recipe", Network.recipe)


for _prefix, _width in (("tfc", 64), ("sfc", 256), ("lfc", 1024)):
    for _weight, _act in ((1, 1), (1, 2), (2, 2)):
        register(
            f"{_prefix}-w{_weight}a{_act}",
            partial(FullyConnected, width=_width, weight_bits=_weight, act_bits=_act),
            alias=_prefix if (_weight, _act) == (2, 2) else None,
        )

for _weight, _act in ((1, 1), (1, 2), (2, 2)):
    register(
        f"cnv-w{_weight}a{_act}",
        partial(CNV, weight_bits=_weight, act_bits=_act),
        alias="cnv" if (_weight, _act) == (2, 2) else None,
    )

for _bits in (2, 4):
    register(
        f"lenet5-w{_bits}a{_bits}",
        partial(LeNet5, weight_bits=_bits, act_bits=_bits),
        alias="lenet5" if _bits == 4 else None,
    )

register(
    "resnet8-w4a4",
    partial(ResNet8, weight_bits=4, act_bits=4),
    alias="resnet8",
)
register(
    "resnet18-w4a4",
    partial(ResNet18, weight_bits=4, act_bits=4),
    alias="resnet18",
)
register("mobilenet-w4a4", partial(MobileNet, bits=4), alias="mobilenet")
register("dscnn-w4a4", partial(DSCNN, bits=4), alias="dscnn")

for _suffix, _batch_norm in (("", False), ("-bn", True)):
    register(f"float-mlp{_suffix}", partial(FloatMLP, batch_norm=_batch_norm))
    register(f"float-lenet5{_suffix}", partial(FloatLeNet5, batch_norm=_batch_norm))
    register(f"float-vgg11{_suffix}", partial(FloatVGG11, batch_norm=_batch_norm))
    register(f"float-cnn-s{_suffix}", partial(FloatKeywordCNN, batch_norm=_batch_norm))

"""One loader of images and labels for every data set.

A split is searched for in a folder in the hub's layout (``DATA_DIR``), on the machine, in the
package and on the hub, in this order. From every source the test split has the same fixed order, in
which every prefix is balanced over the classes. Sets may also be custom (`flow.data.custom`).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flow.data import custom, sources, speech
from flow.data.custom import CustomImages, Targets
from flow.data.parquet import Labels
from flow.data.sources import Found, HubSet
from flow.errors import OptionError, UserError, unknown

BUNDLED_IMAGES = 2000
"""Number of test images of Fashion-MNIST in the package."""

_DIGITS_TEST = 500
_DIGITS_SEED = 0
_SHUFFLE_SEED = 0
_HALVES_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """Properties of a data set that are known without loading it."""

    name: str
    image_shape: tuple[int, int, int]
    """(H, W, C) of an image."""
    train_images: int
    hub: HubSet | None
    classes: int = 10
    """Number of classes; 0 for a custom set without labels."""
    augment: bool = False
    """Whether training shifts and mirrors images by default, as suits natural images."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A split of a data set, in memory."""

    name: str
    split: str
    images: CustomImages
    """uint8 [N, H, W, C]; floats, of a custom set or of sounds, are the network's input as is."""
    labels: Labels | None
    """int64 [N], from 0; None for a custom set without labels."""
    source: str
    """Where the split was found, for display."""
    targets: Targets | None = None
    """[N, …] of a custom set whose ``y`` is no labels."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def known_labels(self) -> Labels:
        """Labels, int64 [N].

        Raises:
            UserError: there are none.
        """
        if self.labels is None:
            raise UserError(f"{self.name} has no labels, which this needs: give them too")
        return self.labels


SETS = {
    item.name: item
    for item in (
        Dataset(
            "fashion-mnist",
            (28, 28, 1),
            60_000,
            HubSet("zalando-datasets/fashion_mnist", "fashion_mnist"),
        ),
        Dataset("mnist", (28, 28, 1), 60_000, HubSet("ylecun/mnist", "mnist")),
        Dataset(
            "cifar10", (32, 32, 3), 50_000, HubSet("uoft-cs/cifar10", "plain_text"), augment=True
        ),
        Dataset(
            "svhn",
            (32, 32, 3),
            73_257,
            HubSet("ufldl-stanford/svhn", "cropped_digits"),
            augment=True,
        ),
        # features of sounds: coefficients are rows, windows of time are columns
        Dataset(
            "speech-commands",
            (speech.COEFFICIENTS, speech.FRAMES, 1),
            84_848,
            HubSet("google/speech_commands", "v0.02", speech.read, converted=True),
            classes=speech.UNKNOWN + 1,
        ),
        Dataset("digits", (8, 8, 1), 1797 - _DIGITS_TEST, None),
    )
}


def dataset(name: str) -> Dataset:
    """Return the properties of a set.

    Args:
        name: one of `SETS`, or the path of a custom set, which is then named by its last component.

    Raises:
        UserError: there is no such set (the message names the nearest), or a custom set cannot be
            read.
    """
    if name in SETS:
        return SETS[name]
    if not custom.is_custom(name):
        raise unknown("dataset", name, SETS)
    images, _, classes = custom.read(name, any_targets=True)
    _, height, width, channels = images.shape
    return Dataset(Path(name).resolve().stem, (height, width, channels), 0, None, len(classes))


def load(
    name: str,
    split: str = "test",
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    any_targets: bool = False,
) -> ImageSet:
    """Load a split.

    The test split is interleaved: image i is of class i mod 10, each class in file order, until a
    class runs out; the rest follows in file order. The training split is in file order. A custom
    set without labels is in an order of chance, always the same.

    Args:
        name: one of `SETS`, or the path of a custom set, which has a test split only.
        split: ``train`` or ``test``.
        limit: largest number of images, counted from the first; all by default.
        data_dir: a folder in the hub's layout; the environment's ``DATA_DIR`` by default.
        any_targets: whether a custom set may have other numbers than labels.

    Raises:
        UserError: the name is unknown, the limit is not positive, or the split cannot be found or
            read.
    """
    item = dataset(name)
    if split not in ("train", "test"):
        raise unknown("split", split, ("train", "test"))
    if limit is not None and limit < 1:
        raise UserError(f"{limit} images of {name} are no number of images: give 1 or more")
    if name not in SETS:
        return _custom(name, item, split, limit, any_targets)
    images, labels, source = _find(item, split, limit, data_dir)
    _check(item, split, images, labels, source)
    if split == "test":
        order = interleave(labels, item.classes)
        images, labels = images[order], labels[order]
    return ImageSet(name, split, images[:limit], labels[:limit], source)


def _custom(name: str, item: Dataset, split: str, limit: int | None, any_targets: bool) -> ImageSet:
    if split != "test":
        raise UserError(f"all images of {name} are test images: train your network on others")
    images, y, classes = custom.read(name, any_targets=any_targets)
    if classes:
        labels = np.asarray(y, np.int64)
        order = interleave(labels, item.classes)[:limit]
        return ImageSet(item.name, split, images[order], labels[order], name)
    order = shuffled(len(images))[:limit]
    return ImageSet(item.name, split, images[order], None, name, None if y is None else y[order])


def _find(
    item: Dataset, split: str, limit: int | None, data_dir: str | os.PathLike[str] | None
) -> Found:
    if item.hub is None:
        return _digits(split)
    hub_set = item.hub
    folder = data_dir or os.environ.get("DATA_DIR")
    fashion = item.name == "fashion-mnist"
    attempts: list[Callable[[], Found | None]] = []
    if folder:
        attempts.append(lambda: sources.in_folder(hub_set, split, Path(folder)))
    if fashion:
        attempts.append(lambda: sources.on_machine(split))
    if fashion and split == "test" and limit is not None and limit <= BUNDLED_IMAGES:
        attempts.append(sources.in_package)
    attempts.append(lambda: sources.on_hub(hub_set, split))
    for attempt in attempts:
        found = attempt()
        if found is not None:
            return found
    raise _not_found(item, hub_set, split)


def _not_found(item: Dataset, hub_set: HubSet, split: str) -> UserError:
    ways = [
        f"set DATA_DIR to a folder that holds {hub_set.repo}/{hub_set.pattern(split)}",
        "connect to the internet, so that it can be fetched from the Hugging Face hub",
    ]
    if item.name == "fashion-mnist":
        ways.insert(1, "install Debian's package dataset-fashion-mnist, or `make data`")
        if split == "test":
            ways.append(f"use at most the {BUNDLED_IMAGES} test images in the package")
    else:
        ways.insert(1, "take a set that is on this machine, fashion-mnist or digits")
    listed = "".join(f"\n  - {way}" for way in ways)
    return UserError(f"the {split} images of {item.name} cannot be found; either{listed}")


def _check(item: Dataset, split: str, images: CustomImages, labels: Labels, source: str) -> None:
    if images.shape[1:] != item.image_shape:
        raise UserError(
            f"the {split} images of {item.name} in {source} have the shape {images.shape[1:]},"
            f" not {item.image_shape}: it holds another data set"
        )
    if len(images) != len(labels) or len(labels) == 0:
        raise UserError(
            f"{source} has {len(images)} images and {len(labels)} labels of {item.name}"
        )
    if labels.min() < 0 or labels.max() >= item.classes:
        raise UserError(
            f"{source} has labels outside 0..{item.classes - 1} for {item.name}:"
            " it holds another data set"
        )


def interleave(labels: Labels, classes: int) -> Labels:
    """Return the order in which entry i is of class i mod classes, until a class runs out."""
    members = [np.flatnonzero(labels == c) for c in range(classes)]
    turns = min(len(m) for m in members)
    balanced = np.stack([m[:turns] for m in members], axis=1).ravel()
    rest = np.sort(np.concatenate([m[turns:] for m in members]))
    return np.concatenate([balanced, rest])


def shuffled(count: int) -> npt.NDArray[np.int64]:
    """Return an order in which the first images, of which the labels are unknown, are a sample."""
    return np.random.RandomState(_SHUFFLE_SEED).permutation(count)


def halves(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of two random halves of images, ascending; an odd one is in the first.

    What is chosen on one half is judged on the other. Images may be ordered: in MNIST, the classes
    take turns.

    Raises:
        OptionError: there are fewer than two images.
    """
    if count < 2:
        raise OptionError("images", f"is {count}, but one half serves to choose and one to judge")
    order = np.random.default_rng(_HALVES_SEED).permutation(count)
    first = (count + 1) // 2
    return np.sort(order[:first]), np.sort(order[first:])


def _digits(split: str) -> Found:
    """Return scikit-learn's digits: 8×8, 0..16 scaled to 0..255; 1,297 to train, 500 to test."""
    # scikit-learn's own file: importing its loader takes seconds, in every worker process
    package = find_spec("sklearn")
    assert package is not None and package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0])
    table = np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    images = np.round(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    order = np.random.RandomState(_DIGITS_SEED).permutation(len(images))
    chosen = order[:_DIGITS_TEST] if split == "test" else order[_DIGITS_TEST:]
    return images[chosen, ..., np.newaxis], table[chosen, -1].astype(np.int64), "scikit-learn"


def to_input(images: CustomImages, shape: tuple[int, int, int] | None = None) -> Tensor:
    """Convert images to the network's input: x / 255 · 2 − 1.

    This is the usual normalisation of MNIST and Fashion-MNIST by mean and standard deviation 0.5,
    and the input range of the Brevitas networks for every set.

    Args:
        images: uint8 [N, H, W, C]; floats are not changed, and must have the right shape already.
        shape: (H, W, C) of the network's input; smaller images get a black border, and a
            single channel is repeated. The images' shape by default.

    Returns:
        float32 [N, C, H, W] in −1..1.

    Raises:
        UserError: the images are larger than ``shape``, or have another number of channels.
    """
    if images.dtype != np.uint8 and shape not in (None, images.shape[1:]):
        raise _unfit(images.shape[1:], shape)
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    if images.dtype != np.uint8:
        return pixels
    if shape is not None:
        pixels = _fitted(pixels, *shape)
    return pixels.to(torch.float32) / 255 * 2 - 1


def _fitted(pixels: Tensor, height: int, width: int, channels: int) -> Tensor:
    """Centre uint8 [N, c, h, w] in [N, channels, height, width]."""
    _, c, h, w = pixels.shape
    if h > height or w > width or c not in (1, channels):
        raise _unfit((h, w, c), (height, width, channels))
    top, left = (height - h) // 2, (width - w) // 2
    border = (left, width - w - left, top, height - h - top)
    return torch.nn.functional.pad(pixels, border).expand(-1, channels, -1, -1).contiguous()


def _unfit(images: Sequence[int], network: Sequence[int]) -> UserError:
    have, wants = ("×".join(str(size) for size in shape) for shape in (images, network))
    return UserError(
        f"images of {have} (height × width × channels) do not fit a network that takes {wants}: "
        "take another data set or network"
    )

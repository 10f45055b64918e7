"""Images that Python holds, with or without labels: arrays, a ``Dataset`` or a ``DataLoader``."""

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

from flow.data.parquet import Labels
from flow.data.sets import ImageSet, interleave, shuffled, to_input
from flow.errors import UserError
from flow.files import save_arrays


@dataclass(frozen=True, eq=False)
class Samples:
    """Images in an order in which each prefix is balanced over the classes, or is a sample."""

    images: Tensor
    """uint8 [N, H, W, C], or float32 [N, …] as the network takes them."""
    labels: Labels | None
    """int64 [N], from 0; None without labels."""
    targets: Tensor | None = None
    """[N, …]: what a metric compares outputs with, if that is no labels."""

    @classmethod
    def of(cls, images: Any, labels: Any = None, *, any_targets: bool = False) -> "Samples":
        """Gather images and labels.

        Args:
            images: an array or a tensor: bytes 0..255, [N, H, W], [N, H, W, C] or [N, C, H, W],
                which the network sees as −1..1; or floats [N, …], which it sees as they are. Or a
                ``Dataset``, a ``DataLoader`` or a pair of images and labels.
            labels: whole numbers [N] from 0; not given if they come with the images, or if there
                are none.
            any_targets: whether other numbers, [N, …], may take the place of labels.

        Raises:
            UserError: they do not belong together, or the network could not use them; the message
                says why.
        """
        if labels is None:
            pair = isinstance(images, tuple) and len(images) == 2
            images, labels = images if pair else _gathered(images)
        taken = _images(images)
        order = torch.from_numpy(shuffled(len(taken)))
        if labels is None:
            return cls(taken[order], None)
        found = _targets(labels) if any_targets else _labels(labels)
        if len(taken) != len(found):
            raise UserError(
                f"there are {len(taken)} images and {len(found)} labels: give one label for each "
                "image"
            )
        if isinstance(found, Tensor):
            return cls(taken[order], None, found[order])
        turns = interleave(found, int(found.max()) + 1)
        return cls(taken[torch.from_numpy(turns)], found[turns])

    def __len__(self) -> int:
        return len(self.images)

    @property
    def known_labels(self) -> Labels:
        """Labels, int64 [N]; UserError if there are none."""
        return self.image_set.known_labels

    @property
    def name(self) -> str:
        """Name of the images in results, which identifies their content."""
        labels = b"" if self.labels is None else self.labels.tobytes()
        found = hashlib.sha256(self.images.numpy().tobytes() + labels)
        return f"images-{found.hexdigest()[:8]}"

    @property
    def inputs(self) -> Tensor:
        """The images as a network of any kind takes them, float32 [N, …]."""
        if self.images.dtype != torch.uint8:
            return self.images
        return to_input(self.images.numpy())

    @property
    def image_set(self) -> ImageSet:
        """The images as a data set: float images of 4 axes as [N, H, W, C], others as [N, 1, …, 1].

        `flow.data.load` reads the same from the file that `write` writes.
        """
        images = self.images.numpy()
        if self.images.dtype != torch.uint8:
            four = self.images.ndim == 4
            images = (
                self.images.permute(0, 2, 3, 1).numpy()
                if four
                else self.images.flatten(1)[:, None, :, None].numpy()
            )
        targets = None if self.targets is None else self.targets.numpy()
        return ImageSet(self.name, "test", images, self.labels, "memory", targets)

    def write(self, folder: Path) -> Path:
        """Write an ``.npz`` file, named by its content, which `flow.data.load` reads.

        Raises:
            UserError: the file cannot be written.
        """
        path = folder / f"{self.name}.npz"
        if not path.exists():
            images, labels = self.image_set.images, self.labels
            if labels is None:
                # in the order in which they were given, since reading shuffles them
                save_arrays(path, x=images[np.argsort(shuffled(len(images)))])
            else:
                save_arrays(path, x=images, y=labels)
        return path


def _gathered(images: Any) -> tuple[Any, Tensor | None]:
    """Return images alone as they are; of a ``Dataset`` or ``DataLoader`` its images and labels."""
    if isinstance(images, np.ndarray | Tensor):
        return images, None
    if isinstance(images, DataLoader):
        if isinstance(images.sampler, RandomSampler):
            warnings.warn(
                "the DataLoader shuffles, so each run sees the images in another order: make it "
                "with shuffle=False",
                stacklevel=4,
            )
        batches: Iterable[Any] = images
    elif hasattr(images, "__getitem__") and hasattr(images, "__len__"):
        batches = DataLoader(images, batch_size=256)
    else:
        raise UserError(
            f"the images are a {type(images).__name__}: give an array, a tensor, a Dataset or a "
            "DataLoader"
        )
    try:
        rows = [row if isinstance(row, list | tuple) else [row] for row in batches]
        if rows and all(len(row) == 1 for row in rows):
            return torch.cat([torch.as_tensor(x) for (x,) in rows]), None
        pairs = [(torch.as_tensor(x), torch.as_tensor(y)) for x, y in rows]
        return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the {type(images).__name__} gives neither images, as tensors or arrays, nor pairs of "
            f"an image and a label: {error}"
        ) from error


def _images(images: Any) -> Tensor:
    """Return images, uint8 [N, H, W, C] or float32 [N, …]."""
    try:
        found = torch.as_tensor(images).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the images are a {type(images).__name__}: give an array or a tensor"
        ) from error
    if found.ndim < 2 or 0 in found.shape:
        raise UserError(f"the images have the shape {list(found.shape)}: it must be [N, …]")
    if found.dtype == torch.uint8:
        return _channels_last(found)
    if not found.is_floating_point():
        raise UserError(
            f"the images are of type {found.dtype}: give uint8, 0 to 255, which the network sees "
            "as −1 to 1, or floats, which it sees as they are"
        )
    if not torch.isfinite(found).all():
        raise UserError("images hold values that are not finite (NaN or infinity): remove them")
    return found.to(torch.float32).contiguous()


def _channels_last(images: Tensor) -> Tensor:
    """Return bytes [N, H, W], [N, H, W, C] or [N, C, H, W] as [N, H, W, C]."""
    if images.ndim == 3:
        return images[..., None].contiguous()
    if images.ndim == 4 and images.shape[-1] in (1, 3):
        return images.contiguous()
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images.permute(0, 2, 3, 1).contiguous()
    raise UserError(
        f"images of bytes have the shape {list(images.shape)}: it must be [N, H, W], or "
        "[N, H, W, C] or [N, C, H, W] with 1 or 3 channels"
    )


def _targets(targets: Any) -> Labels | Tensor:
    """Return labels, or other numbers [N, …]."""
    found = np.asarray(targets.detach().cpu() if isinstance(targets, Tensor) else targets)
    if found.dtype.kind in "iu" and found.ndim == 1 and found.size and found.min() >= 0:
        return _labels(found)
    if found.dtype.kind not in "iuf" or found.ndim == 0:
        raise UserError(f"the targets are {found.dtype} {list(found.shape)}: give numbers [N, …]")
    return torch.from_numpy(found)


def _labels(labels: Any) -> Labels:
    found = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.dtype.kind not in "iu" or found.ndim != 1 or found.size == 0 or found.min() < 0:
        raise UserError(
            f"the labels are {found.dtype} {list(found.shape)}: give a whole number from 0 for "
            "each image"
        )
    return found.astype(np.int64)

"""Custom data sets: a folder with a subfolder of images for each class, or an ``.npz`` file.

A custom set has a single split, which serves as the test split.
"""

import os
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from flow.data.parquet import Labels
from flow.errors import UserError

CustomImages = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""[N, H, W, C]: bytes, or floats that the network takes unchanged."""


def is_custom(name: str) -> bool:
    """Whether a data set is named by its path: an ``.npz`` file or a folder."""
    return name.endswith(".npz") or os.sep in name or Path(name).is_dir()


Targets = npt.NDArray[Any]
"""[N, …]: labels, or other numbers that a metric compares outputs with."""


def read(name: str, *, any_targets: bool = False) -> tuple[CustomImages, Targets | None, list[str]]:
    """Read a custom data set.

    Args:
        name: an ``.npz`` file with ``x``, uint8 or float [N, H, W, C], [N, H, W] or [N, values],
            and, if the labels are known, ``y``, whole numbers [N] from 0; or a folder with a
            subfolder of images, all of one size, for each class. The subfolders, sorted by name,
            are the classes 0, 1, ….
        any_targets: whether ``y`` may hold other numbers than labels, [N, …].

    Returns:
        images [N, H, W, C]; labels, int64 [N], or None without ``y``, or other numbers as they are;
        and the names of the classes, none without labels.

    Raises:
        UserError: the set is missing or unreadable, or has another form; the message names the
            file.
    """
    path = Path(name)
    if path.is_dir():
        return _read_folder(path, _listing(path))
    if not path.is_file():
        raise UserError(
            f"there is no data set {name}: give a folder with a subfolder for each class, or an "
            ".npz file with images x, and labels y if you have them"
        )
    state = path.stat()
    images, y = _read_npz(path, state.st_mtime_ns, state.st_size)
    if y is None:
        return images, None, []
    if y.dtype.kind in "iu" and y.shape == images.shape[:1] and y.min() >= 0:
        return images, y.astype(np.int64), [str(number) for number in range(int(y.max()) + 1)]
    if any_targets and y.dtype.kind in "iuf" and y.shape[:1] == images.shape[:1]:
        return images, y, []
    raise UserError(
        f"{path}: y is {y.dtype} {list(y.shape)}: it must be one whole number from 0 for each "
        f"of the {len(images)} images, its class; for a regression, `walk` with METRIC takes y as "
        "numbers [N, …]"
    )


Listing = tuple[tuple[str, tuple[tuple[Path, int, int], ...]], ...]
"""Name of each class, with its files, their modification times and sizes."""


def _listing(folder: Path) -> Listing:
    """List the files of each class, sorted by name, without hidden files."""
    found = []
    for path in sorted(one for one in folder.iterdir() if one.is_dir() and one.name[0] != "."):
        files = sorted(one for one in path.iterdir() if one.is_file() and one.name[0] != ".")
        states = ((one, one.stat().st_mtime_ns, one.stat().st_size) for one in files)
        found.append((path.name, tuple(states)))
    if len(found) < 2:
        raise UserError(
            f"{folder} has {len(found)} subfolders: it must have one with images for each class, "
            "two or more"
        )
    for name, entries in found:
        if not entries:
            raise UserError(f"{folder / name} holds no images: fill it, or remove it")
    return tuple(found)


@lru_cache(maxsize=2)
def _read_folder(folder: Path, listing: Listing) -> tuple[CustomImages, Labels, list[str]]:
    files = [path for _, entries in listing for path, _, _ in entries]
    bad: list[str] = []
    images: list[Image.Image] = []
    for path in files:
        try:
            with Image.open(path) as opened:
                images.append(opened.copy())
        # Pillow raises SyntaxError for a PNG whose chunks are broken
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            bad.append(f"{path} cannot be read as an image ({error})")
    if bad:
        more = f", nor can {len(bad) - 1} others" if len(bad) > 1 else ""
        raise UserError(f"{bad[0]}{more}: replace or remove it")
    for path, image in zip(files, images, strict=True):
        if image.size != images[0].size:
            sizes = ("{1}×{0}".format(*one.size) for one in (image, images[0]))
            raise UserError(
                f"{path} has {next(sizes)} pixels, {files[0]} {next(sizes)}: bring all images to "
                "the size that the network takes"
            )
        if image.mode[0] in "IF":
            raise UserError(f"{path} has more than 8 bits per channel: convert it to 8")
    grey = all(image.mode in ("1", "L") for image in images)
    pixels = np.stack([np.asarray(image.convert("L" if grey else "RGB")) for image in images])
    counts = [len(entries) for _, entries in listing]
    labels = np.repeat(np.arange(len(listing), dtype=np.int64), counts)
    return pixels[..., np.newaxis] if grey else pixels, labels, [name for name, _ in listing]


@lru_cache(maxsize=2)
def _read_npz(path: Path, modified: int, size: int) -> tuple[CustomImages, Targets | None]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = set(arrays.files)
            # what else it holds may be the labels under another name
            if "x" not in names or ("y" not in names and len(names) > 1):
                raise UserError(
                    f"{path} holds {', '.join(arrays.files) or 'nothing'}: it needs images x, and "
                    "labels y; or x alone, if there are no labels"
                )
            x, y = arrays["x"], arrays["y"] if "y" in names else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise UserError(f"cannot read {path}: {error}; write it with numpy.savez") from error
    if x.dtype.kind == "f":
        x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise UserError(f"{path}: x holds values that are not finite: remove these images")
    elif x.dtype != np.uint8:
        raise UserError(
            f"{path}: x is of type {x.dtype}; give uint8, 0 to 255, which the network sees as −1 "
            "to 1, or float, which it sees as it is"
        )
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise UserError(
            f"{path}: x has the shape {x.shape}: it must be [N, H, W, C], [N, H, W] or [N, values]"
        )
    return x[:, np.newaxis, :, np.newaxis] if x.ndim == 2 else x.reshape(*x.shape[:3], -1), y

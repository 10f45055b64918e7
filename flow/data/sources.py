"""Sources of a split: a folder in the hub's layout, this machine, the package, the hub."""

import gzip
import logging
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.data import parquet
from flow.data.custom import CustomImages
from flow.data.parquet import Images, Labels
from flow.errors import UserError

log = logging.getLogger(__name__)

IDX_FOLDERS = (
    Path("/usr/share/datasets/fashion-mnist"),
    Path("build/data/usr/share/datasets/fashion-mnist"),
)
"""Folders of Debian's package dataset-fashion-mnist: installed, or unpacked by `make data`."""

BUNDLED = Path(__file__).parent / "fashion_mnist_test_2000.parquet"


@dataclass(frozen=True)
class HubSet:
    """Location of a data set on the Hugging Face hub."""

    repo: str
    """Organisation and repository, as ``org/name``."""
    config: str
    """The folder of the repository that holds the shards."""
    read: Callable[[Sequence[Path]], tuple[CustomImages, Labels]] = parquet.read
    """Reads shards."""
    converted: bool = False
    """Whether the hub itself converted the set to parquet, in a branch of its own."""

    def pattern(self, split: str) -> str:
        """Return the pattern of the split's shards within the repository."""
        between = "/" if self.converted else "-"
        return f"{self.config}/{split}{between}*.parquet"

    @property
    def revision(self) -> str | None:
        """The branch of the repository that holds the shards; None for the main one."""
        return "refs/convert/parquet" if self.converted else None


Found = tuple[CustomImages, Labels, str]


def in_folder(hub_set: HubSet, split: str, folder: Path) -> Found | None:
    """Read a split from ``<folder>/<org>/<repo>/<config>/<split>-*.parquet``; None if missing."""
    if not folder.is_dir():
        raise UserError(f"the data folder {folder} does not exist: correct DATA_DIR or unset it")
    shards = sorted((folder / hub_set.repo).glob(hub_set.pattern(split)))
    if not shards:
        return None
    return *hub_set.read(shards), str(folder / hub_set.repo)


def on_machine(split: str) -> Found | None:
    """Read a split of Fashion-MNIST from Debian's package; None if it is not on this machine."""
    prefix = "train" if split == "train" else "t10k"
    for folder in IDX_FOLDERS:
        images = folder / f"{prefix}-images-idx3-ubyte.gz"
        labels = folder / f"{prefix}-labels-idx1-ubyte.gz"
        if images.exists() and labels.exists():
            pixels = _read_idx(images)[..., np.newaxis]
            return pixels, _read_idx(labels).astype(np.int64), str(folder)
    return None


def _read_idx(path: Path) -> Images:
    """Read an IDX file of bytes: 0, 0, type 8, rank, big-endian int32 sizes, data."""
    try:
        data = gzip.decompress(path.read_bytes())
        if data[:3] != b"\0\0\x08":
            raise ValueError("not an IDX file of bytes")
        rank = data[3]
        shape = np.frombuffer(data, ">i4", rank, offset=4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {error}; fetch the file again") from error


def in_package() -> Found:
    """Read the 2,000 test images of Fashion-MNIST in the package."""
    return *parquet.read([BUNDLED]), "the package"


def on_hub(hub_set: HubSet, split: str) -> Found | None:
    """Fetch a split from the hub or from its local cache; None if neither has it."""
    # takes half a second to import, and most sets are on this machine
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            hub_set.repo,
            repo_type="dataset",
            revision=hub_set.revision,
            allow_patterns=hub_set.pattern(split),
            endpoint=os.environ.get("HF_ENDPOINT"),
            etag_timeout=5,
        )
    except Exception as error:
        # network failures raise many kinds of exception, from several libraries
        log.info("the hub did not serve %s: %s", hub_set.repo, error)
        return None
    shards = sorted(Path(folder).glob(hub_set.pattern(split)))
    if not shards:
        return None
    return *hub_set.read(shards), f"the hub's {hub_set.repo}"

"""Parquet files in the hub's schema, common to all sets: one encoded image and label per row."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from flow.errors import UserError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def read(paths: Sequence[Path]) -> tuple[Images, Labels]:
    """Read the shards of a split, in the given order.

    Returns:
        Images, uint8 [N, H, W, C], and labels, int64 [N].

    Raises:
        UserError: a file cannot be read, has another schema, or a row is not an image.
    """
    parts = [_read_one(path) for path in paths]
    if len({images.shape[1:] for images, _ in parts}) > 1:
        raise UserError(f"the shards beside {paths[0]} hold images of different shapes")
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _read_one(path: Path) -> tuple[Images, Labels]:
    try:
        table = pq.read_table(path)
        columns = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}; fetch the file again") from error
    column = next((c for c in ("image", "img") if c in columns), None)
    if column is None or "label" not in columns:
        raise UserError(
            f"{path} has columns {', '.join(columns)}: it needs 'image' or 'img', and 'label'"
        )
    try:
        rows = table[column].to_pylist()
        images = np.stack([_decode(row["bytes"]) for row in rows])
        labels = table["label"].to_numpy().astype(np.int64)
    # Pillow raises SyntaxError for a PNG whose chunks are broken
    except (UnidentifiedImageError, OSError, SyntaxError, TypeError, KeyError, ValueError) as error:
        raise UserError(f"{path} holds a row that is not an image: {error}") from error
    return images, labels


def _decode(data: bytes) -> Images:
    pixels = np.asarray(Image.open(io.BytesIO(data)), dtype=np.uint8)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def write(path: Path, images: Images, labels: Labels) -> None:
    """Write images, uint8 [N, H, W, C], as PNG with their labels, in the hub's schema."""
    rows = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(
            buffer, "png", optimize=True
        )
        rows.append({"bytes": buffer.getvalue(), "path": None})
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, image_type), "label": pa.array(labels, pa.int64())})
    # PNG is compressed already, and a dictionary of unique images would only add to the file
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)

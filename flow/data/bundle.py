"""Make the shipped images: ``python -m flow.data.bundle`` on a machine that has Fashion-MNIST."""

import numpy as np

from flow.data import SHIPPED_IMAGES, load, parquet, sources
from flow.errors import UserError


def main() -> None:
    """Write the first test images, in the order in which `flow.data.load` gives them."""
    full = load("fashion-mnist", "test")
    if len(full) <= SHIPPED_IMAGES:
        raise UserError(f"{full.source} holds {len(full)} images: the full test set is needed")
    images = np.asarray(full.images[:SHIPPED_IMAGES], np.uint8)
    parquet.write(sources.SHIPPED, images, full.labels[:SHIPPED_IMAGES])


if __name__ == "__main__":
    main()

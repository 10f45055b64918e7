"""Make the bundled images: ``python -m flow.data.bundle`` on a machine that has Fashion-MNIST."""

import numpy as np

from flow.data import BUNDLED_IMAGES, load, parquet, sources
from flow.errors import UserError


def main() -> None:
    """Write the first test images, in the order of `flow.data.load`."""
    full = load("fashion-mnist", "test")
    if len(full) <= BUNDLED_IMAGES:
        raise UserError(f"{full.source} holds {len(full)} images: the full test set is needed")
    images = np.asarray(full.images[:BUNDLED_IMAGES], np.uint8)
    parquet.write(sources.BUNDLED, images, full.known_labels[:BUNDLED_IMAGES])


if __name__ == "__main__":
    main()

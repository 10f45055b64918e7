"""Data sets by name or file."""

from flow.data.sets import (
    BUNDLED_IMAGES,
    SETS,
    Dataset,
    ImageSet,
    dataset,
    halves,
    load,
    to_input,
)

__all__ = ["BUNDLED_IMAGES", "SETS", "Dataset", "ImageSet", "dataset", "halves", "load", "to_input"]

"""Data sets by name or file."""

from flow.data.sets import SETS, SHIPPED_IMAGES, Dataset, ImageSet, dataset, load, to_input

__all__ = ["SETS", "SHIPPED_IMAGES", "Dataset", "ImageSet", "dataset", "load", "to_input"]

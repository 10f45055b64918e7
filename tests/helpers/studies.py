"""A small study of four walks in hardware."""

from pathlib import Path

SMALL = """
title: a small study
runs:
  - walk-hw:
      model: tfc-w2a2
      dataset: digits
      noise: [additive, mixed]
      seed: [0, 1]
      images: 200
      hw-images: 8
      draws: 1
      cycles: 256
      levels: [8, 30, 90]
      sites: [fc0.acc, fc2.acc]
      budget: 0
"""


def written(folder: Path, text: str, name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path

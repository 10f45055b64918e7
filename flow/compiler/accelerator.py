"""A compiled network in its folder."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from flow.compiler.finn import register_operators
from flow.compiler.folding.target import CLOCK_HZ
from flow.files import built_once
from flow.noise.hardware.sites import TapSite
from flow.noise.hardware.weights import WeightSite

if TYPE_CHECKING:
    from flow.golden.model import GoldenModel


FPGA_PART = "xczu7ev-ffvc1156-2-e"
"""Decides only which DSP slice FINN's matrix-vector unit models; nothing is synthesised."""


CLOCK_NS = 1e9 / CLOCK_HZ


@dataclass(frozen=True)
class Accelerator:
    """A compiled network, in a folder of its own.

    The folder holds ``manifest.json``, ``hardware.onnx`` (FINN's graph with taps, before
    specialisation), ``rtl/`` and ``data/``; where weights may have noise also
    ``specialised.onnx``, by which their memories are written; and where parts of it were asked for
    ``parts/`` (`flow.compiler.subgraph`).
    """

    folder: Path
    manifest: dict

    @classmethod
    def open(cls, folder: Path) -> "Accelerator":
        """Open a compiled accelerator."""
        return cls(folder, json.loads((folder / "manifest.json").read_text()))

    @property
    def sites(self) -> dict[str, TapSite]:
        """The taps by name, in the order of the data."""
        return {site["name"]: TapSite(**site) for site in self.manifest["sites"]}

    @property
    def weights(self) -> dict[str, WeightSite]:
        """The weights that may be programmed with an error, by name, in the order of the data."""
        return {
            site["name"]: WeightSite(
                **site | {"shape": tuple(site["shape"]), "negated": tuple(site["negated"])}
            )
            for site in self.manifest["weights"]
        }

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of an image: (H, W, C), or (C,) behind a dense layer."""
        return tuple(self.manifest["image_shape"])

    @property
    def sources(self) -> list[Path]:
        """HDL in compile order."""
        return [self.folder / "rtl" / name for name in self.manifest["sources"]]

    @property
    def hardware_graph(self) -> Path:
        """FINN's graph of hardware layers, which FINN can execute."""
        return self.folder / "hardware.onnx"

    def golden_model(self) -> "GoldenModel":
        """Return the bit-exact model of the hardware graph."""
        register_operators()
        from qonnx.core.modelwrapper import ModelWrapper

        from flow.golden.model import GoldenModel

        return GoldenModel.of(ModelWrapper(str(self.hardware_graph)), self.weights)

    def quantise(self, inputs: Tensor) -> Tensor:
        """Turn images into the integer stream, as the host does.

        Args:
            inputs: float32 [N, C, H, W], as the network takes them.

        Returns:
            int32 [N, elements], in the order of the accelerator's input stream.
        """
        from flow.compiler.graph.dataflow import HostQuantiser

        quantiser = dict(self.manifest["host_quantiser"])
        thresholds = np.array(quantiser.pop("thresholds"), dtype=np.float32)
        values = HostQuantiser(thresholds=thresholds, **quantiser)(inputs.numpy())
        return torch.from_numpy(values)


def open_or_build(folder: Path, build: Callable[[Path], None]) -> Accelerator:
    """Open a folder of an accelerator, or have it built beside and renamed into place.

    Args:
        folder: where it is to lie, whichever process builds it first.
        build: fills a folder with it; ``finn/`` in there is left out.
    """

    def build_alone(scratch: Path) -> None:
        build(scratch)
        shutil.rmtree(scratch / "finn")

    built_once(folder, build_alone)
    return Accelerator.open(folder)

"""Compiled networks, each in its folder."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from flow.compiler.finn import register_operators
from flow.compiler.folding.target import NOMINAL_MHZ
from flow.files import built_once
from flow.noise.hardware import kinds
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sites import TapSite
from flow.noise.hardware.weights import WeightSite

if TYPE_CHECKING:
    from flow.golden.model import GoldenModel


FPGA_PART = "xczu7ev-ffvc1156-2-e"
"""FPGA part, which only determines the DSP slice that FINN's matrix-vector unit models."""


CLOCK_NS = 1e3 / NOMINAL_MHZ


@dataclass(frozen=True)
class Accelerator:
    """A compiled network in its own folder.

    The folder holds ``manifest.json``, ``hardware.onnx`` (FINN's graph with taps, before
    specialisation), ``rtl/`` and ``data/``; if weights may have noise also ``specialised.onnx``,
    from which their memories are written; and ``parts/`` if subgraphs were compiled
    (`flow.compiler.subgraph`).
    """

    folder: Path
    manifest: dict

    @classmethod
    def open(cls, folder: Path) -> "Accelerator":
        """Open a compiled accelerator."""
        return cls(folder, json.loads((folder / "manifest.json").read_text()))

    @property
    def sites(self) -> dict[str, TapSite]:
        """Taps by site name, in the order of the data flow."""
        return {site["name"]: TapSite(**site) for site in self.manifest["sites"]}

    @property
    def weights(self) -> dict[str, WeightSite]:
        """Weights that may be programmed with errors, by site name, in data flow order."""
        return {
            site["name"]: WeightSite(
                **site | {"shape": tuple(site["shape"]), "negated": tuple(site["negated"])}
            )
            for site in self.manifest["weights"]
        }

    def require(self, points: Iterable[Mapping[str, TapSettings]]) -> None:
        """Check that the taps are built for settings, by site each; those of weights need no tap.

        Raises:
            UserError: they lack a kind of noise.
        """
        asked = [
            kind
            for point in points
            for site, settings in point.items()
            if site in self.sites
            for kind in settings.kinds
        ]
        kinds.require(asked, self.manifest["kinds"])

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of an image: (H, W, C), or (C,) downstream of a dense layer."""
        return tuple(self.manifest["image_shape"])

    @property
    def sources(self) -> list[Path]:
        """HDL files in compile order."""
        return [self.folder / "rtl" / name for name in self.manifest["sources"]]

    @property
    def hardware_graph(self) -> Path:
        """Path of FINN's graph of hardware layers, which FINN can execute."""
        return self.folder / "hardware.onnx"

    def golden_model(self) -> "GoldenModel":
        """Return the bit-exact model of the hardware graph."""
        register_operators()
        from qonnx.core.modelwrapper import ModelWrapper

        from flow.golden.model import GoldenModel

        return GoldenModel.of(ModelWrapper(str(self.hardware_graph)), self.weights)

    def quantise(self, inputs: Tensor) -> Tensor:
        """Convert images to the integer stream, as the host does.

        Args:
            inputs: the network's input images, float32 [N, C, H, W].

        Returns:
            int32 [N, elements], in the order of the accelerator's input stream.
        """
        from flow.compiler.host import HostQuantiser

        quantiser = dict(self.manifest["host_quantiser"])
        thresholds = np.array(quantiser.pop("thresholds"), dtype=np.float32)
        values = HostQuantiser(thresholds=thresholds, **quantiser)(inputs.numpy())
        return torch.from_numpy(values)


def open_or_build(folder: Path, build: Callable[[Path], None]) -> Accelerator:
    """Open an accelerator's folder, or build it in a temporary folder and rename that.

    Args:
        folder: the accelerator's folder, which the first of several processes creates.
        build: a function that builds the accelerator in a folder; its ``finn/`` is not kept.
    """

    def build_alone(scratch: Path) -> None:
        build(scratch)
        shutil.rmtree(scratch / "finn")

    built_once(folder, build_alone)
    return Accelerator.open(folder)

"""Base class of all networks: named sites along the data flow, and noise on them."""

import copy
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from torch import Tensor, nn

from flow.device import CPU
from flow.errors import OptionError, about, unknown
from flow.models.planes import Array, Grid, Planes
from flow.noise import Noise, NoiseTap, Sampler, Site, Tap, WeightTap


@dataclass(frozen=True)
class Recipe:
    """Default training settings of a network."""

    lr: float
    """Adam's initial learning rate."""
    batch: int
    """Images per step."""
    clamp: bool
    """Whether weights are clipped to −1..1."""
    sigma: float | None = None
    """σ of noise in training; None if no level suits the network in general."""


def label_type(classes: int) -> type[np.unsignedinteger]:
    """Return the smallest type that holds every label of this many classes."""
    return np.uint8 if classes <= 1 << 8 else np.uint16


class Network(nn.Module):
    """A network whose taps are registered in the order of the data flow.

    Args:
        name: the registered name, e.g. ``tfc-w2a2``.
        image_shape: (H, W, C) of the input images.
        classes: number of classes.
    """

    # a quantised weight has a gradient only in −1..1
    recipe: ClassVar[Recipe] = Recipe(lr=0.02, batch=100, clamp=True, sigma=8.0)

    zero_to_one: bool = False
    """Whether the images are in 0..1 behind the network's normalisation."""

    def __init__(self, name: str, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.name = name
        self.image_shape = image_shape
        self.classes = classes
        self.single = False
        """Whether two classes share one score; it means class 1 if it is 0 or more."""
        self.array = Array()
        """Size of the analog array that computes the layers, if given."""
        self.image_range: tuple[float, float] | None = (-1.0, 1.0)
        """Smallest and largest value of the images that the network has seen; None if unknown."""

    @property
    def device(self) -> torch.device:
        """Device of the network's values, which computes."""
        return next((value.device for value in chain(self.parameters(), self.buffers())), CPU)

    def on(self, device: torch.device) -> Self:
        """Return the network on a device: itself, or a copy."""
        return self if device == self.device else copy.deepcopy(self).to(device)

    @property
    def digest(self) -> str:
        """Hash of the network with its weights."""
        found = hashlib.sha256(self.definition + f"{type(self)} {self.name}".encode())
        if self.zero_to_one:
            found.update(b"zero to one")
        if self.array:
            found.update(str(self.array).encode())
        for name, value in self.state_dict().items():
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            found.update(value.detach().contiguous().numpy().tobytes())
        return found.hexdigest()

    @property
    def label_type(self) -> type[np.unsignedinteger]:
        """Smallest type that holds every label."""
        return label_type(self.classes)

    @property
    def definition(self) -> bytes:
        """The network as QONNX if it was read from a QONNX file, otherwise empty."""
        return b""

    def integer_weights(self, layer: str) -> npt.NDArray[np.float32]:
        """Return the weights of a layer, such as ``conv0``, in steps of their quantiser: [O, …]."""
        (linear,) = (
            module
            for module in self.get_submodule(layer).modules()
            if isinstance(module, QuantWeightBiasInputOutputLayer)
        )
        quantised = linear.quant_weight()
        return (quantised.value / quantised.scale).detach().round().numpy()

    @property
    def sites(self) -> list[Site]:
        """Names of the streams' taps, in the order of the data flow."""
        return [site for site, tap in self._taps().items() if isinstance(tap, NoiseTap)]

    @property
    def weight_sites(self) -> list[Site]:
        """Names of the weights' taps, such as ``conv0.weight``, in the order of the data flow."""
        return [site for site, tap in self._taps().items() if isinstance(tap, WeightTap)]

    @property
    def all_sites(self) -> list[Site]:
        """Names of all taps; the weights of a layer precede its accumulator."""
        return list(self._taps())

    @property
    def accumulator_sites(self) -> list[Site]:
        """Sites of noisy computation: the accumulators."""
        return [site for site in self.sites if site.is_accumulator]

    @property
    def walk_sites(self) -> list[Site]:
        """Sites that a walk visits by default, in the order of the data flow."""
        return self.accumulator_sites

    def unit(self, sites: Collection[str]) -> str:
        """Return the unit of σ at the given sites.

        Returns:
            ``real``, the unit of the layer's output; ``lsb``, the LSB of the integer accumulator;
            or ``real or lsb`` if the sites differ.
        """
        taps = [self.tap(site) for site in sites]
        lsb = {isinstance(tap, NoiseTap) and tap.in_lsb for tap in taps}
        return "real or lsb" if len(lsb) > 1 else "lsb" if True in lsb else "real"

    def _taps(self) -> dict[Site, Tap]:
        found: dict[Site, Tap] = {}
        for name, module in self.named_modules():
            if isinstance(module, WeightTap):
                # a layer inside a block, as conv0.conv.tap; the site is named after the block
                path = _without_tiles(name.rpartition(".")[0])
                found[Site.of(path.rpartition(".")[0], "weight")] = module
            elif isinstance(module, NoiseTap):
                site = Site(name)
                # as conv0.conv.tile
                block = site.layer.rpartition(".")[0]
                found[Site.of(block, site.kind) if site.is_tile else site] = module
        return found

    def layer_at(self, site: Site) -> nn.Module:
        """Return the convolution or dense layer whose accumulators are at a site."""
        (layer,) = (m for m in self.get_submodule(site.layer).children() if _is_layer(m))
        return layer

    def input_grid(self, site: Site) -> Grid | None:
        """Return the grid of the values that the layer at a site reads; None if not known."""
        return None

    def step(self, site: Site) -> float | None:
        """Return the size of an LSB at a site, in the unit of σ there; None if it is not known."""
        return None

    def planes_at(self, site: Site) -> Planes:
        """Return the planes of the activations of the layer at a ``.tile`` site."""
        tap = self.tap(site)
        return next(cast(Planes, m.planes) for m in self.modules() if getattr(m, "tile", 0) is tap)

    def put_tiles(self, site: Site, tiled: nn.Module) -> None:
        """Replace the layer at an accumulator site by one that has the tap itself.

        Args:
            site: the site.
            tiled: a layer whose child ``tile`` is the tap, and whose child ``layer`` that layer.
        """
        block = self.get_submodule(site.layer)
        (name,) = (name for name, m in block.named_children() if _is_layer(m))
        setattr(block, name, tiled)
        setattr(block, site.kind, nn.Identity())

    def entry(self, site: str) -> str:
        """Return the path of the first module whose output has a site's noise."""
        tap = self.tap(site)
        path = next(name for name, module in self.named_modules() if module is tap)
        inside = isinstance(tap, WeightTap) or Site(site).is_tile
        return _without_tiles(path.rpartition(".")[0]) if inside else path

    def tap(self, site: str) -> Tap:
        """Return the tap of this name, or raise a UserError that names the nearest."""
        taps, name = self._taps(), Site(site)
        if name not in taps:
            raise unknown("site", site, taps)
        return taps[name]

    def set_noise(
        self,
        noise: Mapping[str, Noise],
        sampler: Sampler,
        *,
        training: bool | Collection[str] = True,
        evaluation: bool | Collection[str] = True,
    ) -> None:
        """Set noise at these sites, and clear it at all others.

        Args:
            noise: the noise of each site.
            sampler: source of the samples.
            training: whether the noise applies in training mode, or the sites at which it does.
            evaluation: whether it applies in evaluation mode, or the sites at which it does.

        Raises:
            UserError: a site does not exist, or a mode names one without noise; the network is
                then unchanged.
        """
        taps = {site: self.tap(site) for site in noise}
        on = [
            mode if isinstance(mode, Collection) else list(noise) * mode
            for mode in (training, evaluation)
        ]
        for site in (site for mode in on for site in mode):
            if site not in noise:
                raise unknown("site with noise", site, noise)
        self.clear_noise()
        for site, tap in taps.items():
            trains, evaluates = (site in mode for mode in on)
            tap.set(site, noise[site], sampler, training=trains, evaluation=evaluates)

    def clear_noise(self) -> None:
        """Clear the noise at every site."""
        for tap in self._taps().values():
            tap.clear()

    @contextmanager
    def noise(self, noise: Mapping[str, Noise], sampler: Sampler) -> Iterator[None]:
        """Set noise at these sites for a ``with`` block, then clear all noise."""
        self.set_noise(noise, sampler)
        try:
            yield
        finally:
            self.clear_noise()


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Linear)


def _without_tiles(path: str) -> str:
    """Return the path of the tiled layer that holds a layer, or else the path itself."""
    return path.removesuffix(".layer")


def channels_last(images: Tensor) -> Tensor:
    """Return images, float [N, …], in the memory layout that is fastest for layers."""
    if images.ndim != 4:
        return images.contiguous()
    return images.contiguous(memory_format=torch.channels_last)


def chosen_sites(asked: Sequence[str], network: Network, default: Sequence[str]) -> list[str]:
    """Return the sites to walk, in the order of the data flow.

    Args:
        asked: names of the requested sites.
        network: the network with the sites.
        default: the sites if none are requested.

    Raises:
        OptionError: a site does not exist, or is named twice.
    """
    for site in asked:
        with about("sites"):
            network.tap(site)
        if asked.count(site) > 1:
            raise OptionError("sites", f": site {site} is named twice: each is walked once")
    return [site for site in network.all_sites if site in asked] if asked else [*default]

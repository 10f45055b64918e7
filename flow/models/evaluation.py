"""Evaluation under many noise settings that computes values without noise only once.

A batch of images passes through the network once without noise, and the values that each site needs
are kept until the batch is done. Each level of noise then begins at its site. The levels of a group
share their samples, which are drawn once. Memory holds one batch of activations and samples per
thread, however many images there are.
"""

import copy
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn

from flow.device import CPU
from flow.errors import UserError
from flow.models.network import Network, channels_last
from flow.models.quantisers import inference_values
from flow.models.tiles import TiledLayer
from flow.noise import Noise, NoiseTap, Sampler, WeightTap
from flow.noise.samplers import CachedSampler
from flow.settings import ADC_PERCENTILE
from flow.threads import share

Labels = npt.NDArray[np.unsignedinteger[Any]]
"""Predicted classes: bytes, or two bytes each where there are more than 256 classes."""


Judge = Callable[[Tensor, slice], npt.NDArray[Any]]
"""Makes one value of each image's outputs, float [n, …] on the processor; the slice gives the
numbers of the images."""

SCALE_IMAGES = 200
"""Number of images behind a site's standard deviation and range."""
BATCH_VALUES = 1 << 20
"""Number of values of the largest site in a batch, few enough for a core's cache."""


def suitable_batch(values: int) -> int:
    """Return the number of images per batch that suits the caches, a divisor of 1,000.

    Args:
        values: number of values of the largest site, for one image.
    """
    most = max(1, BATCH_VALUES // values)
    return max(n for n in range(1, 1001) if 1000 % n == 0 and n <= most)


@dataclass(frozen=True)
class Levels:
    """Noise settings on the same sites that share their samples."""

    levels: Sequence[Mapping[str, Noise]]
    """Noise of each site at each level; an empty mapping is the network without noise."""
    sampler: Sampler
    """Source of the samples."""

    @property
    def sites(self) -> set[str]:
        """Sites with noise at any level."""
        return {site for noises in self.levels for site in noises}


def trace(network: nn.Module) -> fx.Graph:
    """Return the graph of calls to a network's taps and to its modules without taps inside."""
    return _Tracer().trace(network)


class _Tracer(fx.Tracer):
    """A tracer that enters a module only if it contains taps."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = isinstance(m, NoiseTap | TiledLayer)
        return whole or not any(isinstance(c, NoiseTap) for c in m.modules())


class _Pairs(nn.Module):
    """Max pooling by 2×2 as the maximum of rows, then of columns: equal bits in far less time.

    At 6 channels of 28×28, torch's pooling takes a third of a whole LeNet-5, this one a fortieth.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima, float [N, C, H/2, W/2]; an odd last row or column is dropped."""
        height, width = (side // 2 * 2 for side in x.shape[-2:])
        rows = torch.maximum(x[..., 0:height:2, :], x[..., 1:height:2, :])
        return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


def _pool_by_pairs(network: nn.Module) -> None:
    """Replace every plain max pooling by 2×2 with `_Pairs`."""
    for parent in list(network.modules()):
        for name, m in parent.named_children():
            sizes = (m.kernel_size, m.stride) if isinstance(m, nn.MaxPool2d) else ()
            plain = sizes and all(size in (2, (2, 2)) for size in sizes)
            if plain and (m.padding, m.dilation, m.ceil_mode, m.return_indices) == (0, 1, 0, 0):
                setattr(parent, name, _Pairs())


@dataclass(frozen=True)
class _Plan:
    """Split of a network, for each group of levels, into nodes without and with noise."""

    graph: fx.Graph
    groups: Sequence[Levels]
    noisy: Sequence[set[fx.Node]]
    """Nodes that each group's noise reaches."""

    @classmethod
    def of(cls, network: Network, groups: Sequence[Levels]) -> "_Plan":
        graph = trace(network)
        noisy = [_reached(graph, {network.entry(site) for site in group.sites}) for group in groups]
        return cls(graph, groups, noisy)

    @property
    def unused(self) -> set[fx.Node]:
        """Nodes with noise in all groups, whose values without noise are not needed."""
        return set.intersection(*self.noisy) if self.noisy else set()

    def start(self, number: int, clean: Mapping[fx.Node, object]) -> dict[fx.Node, object]:
        """Return the values that a group's noisy nodes start from; None for values they ignore."""
        part = self.noisy[number]
        edge = {node for inner in part for node in inner.all_input_nodes} - part
        nodes = [node for node in self.graph.nodes if node not in part]
        return {node: clean[node] if node in edge else None for node in nodes}


class _Evaluator:
    """State of one thread: its own network, the taps of each group, and samplers."""

    def __init__(self, own: Network, plan: _Plan) -> None:
        self.plan = plan
        # the interpreter does not compute a value that is given; no node reads one given as None
        self.clean = fx.Interpreter(own, garbage_collect_values=False, graph=plan.graph)
        self.suffix = fx.Interpreter(own, graph=plan.graph)
        # it would append the graph's node to the message of a user's mistake
        self.suffix.extra_traceback = False
        self.taps = [{s: own.tap(s) for s in sorted(group.sites)} for group in plan.groups]
        self.samplers = [
            CachedSampler(copy.deepcopy(group.sampler), own.device) for group in plan.groups
        ]

    def outputs(self, images: Tensor, first_image: int) -> Iterator[Iterator[Tensor]]:
        """Yield, for each group, the outputs at each of its levels."""
        self.clean.run(channels_last(images), initial_env=dict.fromkeys(self.plan.unused))
        for number in range(len(self.plan.groups)):
            yield self._levels(number, first_image)

    def _levels(self, number: int, first_image: int) -> Iterator[Tensor]:
        start = self.plan.start(number, self.clean.env)
        sampler, taps = self.samplers[number], self.taps[number]
        sampler.start_batch(first_image)
        for noises in self.plan.groups[number].levels:
            for site, tap in taps.items():
                if site in noises:
                    tap.set(site, noises[site], sampler)
                else:
                    tap.clear()
            yield self.suffix.run(initial_env=dict(start)).cpu()
        sampler.forget()
        for tap in taps.values():
            tap.clear()


def evaluate_levels(
    network: Network,
    inputs: Tensor,
    site: str,
    levels: Sequence[Noise],
    sampler: Sampler,
    *,
    batch: int | None = None,
) -> Labels:
    """Classify images at each level of noise on one site, with the results of `evaluate`.

    Args:
        network: the network, which is not changed.
        inputs: float32 [N, C, H, W] in −1..1.
        site: the site with the noise.
        levels: the noise at each level; all levels share their samples.
        sampler: source of the samples.
        batch: images per batch, on which TorchSampler's samples depend; as many as suit the caches
            by default.

    Returns:
        The predicted labels, unsigned integers [levels, N].

    Raises:
        UserError: there is no such site.
    """
    group = Levels([{site: noise} for noise in levels], sampler)
    return evaluate_groups(network, inputs, [group], batch=batch)[0]


def evaluate_groups(
    network: Network,
    inputs: Tensor,
    groups: Sequence[Levels],
    *,
    batch: int | None = None,
    first_image: int = 0,
    judge: Judge | None = None,
) -> list[npt.NDArray[Any]]:
    """Classify images at the levels of several groups, computing clean values once for all.

    Args:
        network: the network, which is not changed; its device computes.
        inputs: float32 [N, C, H, W] in −1..1.
        groups: the groups of levels.
        batch: images per batch, on which TorchSampler's samples depend; as many as suit the caches
            by default.
        first_image: number of the first image in its set, which determines the samples.
        judge: what a point has of each image in place of its label.

    Returns:
        The predicted labels of each group, unsigned integers [levels, N]; or float32 [levels, N] of
        a judge.

    Raises:
        UserError: a site does not exist.
    """
    for group in groups:
        for site in group.sites:
            network.tap(site)
    batch = _batch(network, inputs, batch)
    plan = _Plan.of(network, groups)
    shapes = [(len(group.levels), len(inputs)) for group in groups]
    kind = network.label_type if judge is None else np.float32
    found = [np.empty(shape, dtype=kind) for shape in shapes]
    decide = judge or _labels_of
    local = threading.local()

    def work(rows: slice) -> None:
        # taps and samplers have state, so each thread needs its own
        if not hasattr(local, "evaluator"):
            local.evaluator = _Evaluator(fixed if alone else copy.deepcopy(fixed), plan)
        with torch.inference_mode():
            images = inputs[rows].to(fixed.device)
            outputs = local.evaluator.outputs(images, first_image + rows.start)
            for array, levels in zip(found, outputs, strict=True):
                for row, values in zip(array, levels, strict=True):
                    row[rows] = decide(values, rows)

    fixed = copy.deepcopy(network).eval()
    fixed.clear_noise()
    alone = torch.get_num_threads() == 1 or fixed.device != CPU
    with torch.inference_mode(), inference_values(fixed, inputs[:1].to(fixed.device)):
        _pool_by_pairs(fixed)
        share(len(inputs), batch, work, fixed.device)
    return found


def _labels_of(outputs: Tensor, rows: slice) -> npt.NDArray[np.int64]:
    """Return the class with the largest score of each image, of equal ones the lowest."""
    labels: npt.NDArray[np.int64] = outputs.argmax(1).numpy()
    return labels


@dataclass(frozen=True)
class SiteValues:
    """Statistics of a site's values without noise, in the site's unit of σ."""

    count: int
    """Number of values of an image; 0 for weights, which belong to no image."""
    std: float
    """Standard deviation."""
    range: float
    """Largest absolute value: the full scale."""
    clip: float
    """Percentile of the absolute values, the usual range of an ADC."""
    signed: bool
    """Whether any value is negative."""

    def of(self, unit: Literal["std", "range"]) -> float:
        """Return the size of a unit that is relative to the values."""
        return self.std if unit == "std" else self.range


def site_values(
    network: Network, inputs: Tensor, percentile: float = ADC_PERCENTILE
) -> dict[str, SiteValues]:
    """Measure the values of each site without noise.

    Args:
        network: the network, which is not changed.
        inputs: a few images, float32 [N, C, H, W].
        percentile: the percentile of `SiteValues.clip`, above 0 and up to 100: the smallest value
            that so many absolute values do not exceed.
    """
    own = copy.deepcopy(network).eval()
    own.clear_noise()
    found: dict[str, SiteValues] = {}

    def hook(site: str):
        def keep(module: nn.Module, arguments: object, output: Tensor) -> None:
            values = getattr(output, "value", output)
            of_image = 0 if isinstance(module, WeightTap) else values[0].numel()
            values = module.in_unit(values) if isinstance(module, NoiseTap) else values
            size = values.abs().flatten()
            # a percentage times a whole number is hardly ever whole in binary
            place = max(1, math.ceil(round(percentile / 100 * size.numel(), 6)))
            found[site] = SiteValues(
                count=of_image,
                std=float(values.std()),
                range=float(size.max()),
                clip=float(size.kthvalue(place).values),
                signed=bool((values < 0).any()),
            )

        return keep

    for site in own.all_sites:
        own.tap(site).register_forward_hook(hook(site))
    with torch.inference_mode():
        own(channels_last(inputs.to(own.device)))
    return found


def _reached(graph: fx.Graph, entries: set[str]) -> set[fx.Node]:
    """Return the nodes that noise from the entry modules reaches: these and all downstream.

    The output is always included, since it is the result.
    """
    reached: set[fx.Node] = set()
    for node in graph.nodes:
        enters = node.op == "call_module" and node.target in entries
        if enters or node.op == "output" or not reached.isdisjoint(node.all_input_nodes):
            reached.add(node)
    return reached


def _batch(network: Network, inputs: Tensor, asked: int | None) -> int:
    """Return the number of images per batch: the requested one, or one that suits the network."""
    if asked is None:
        return suitable_batch(max(one.count for one in site_values(network, inputs[:1]).values()))
    if asked < 1:
        raise UserError(f"the batch is {asked} images: give 1 or more")
    return asked


def evaluate(
    network: Network,
    inputs: Tensor,
    *,
    noise: Mapping[str, Noise] | None = None,
    sampler: Sampler | None = None,
    batch: int | None = None,
) -> Labels:
    """Classify images in evaluation mode.

    Args:
        network: the network, whose device computes; its mode is restored, and its taps are left
            without noise.
        inputs: float32 [N, C, H, W] in −1..1, from `flow.data.to_input`.
        noise: the noise of each site; none by default.
        sampler: source of the samples; required with noise.
        batch: images per batch, on which TorchSampler's samples depend; as many as suit the caches
            by default.

    Returns:
        The predicted labels, unsigned integers [N]; the lowest index among equal logits.
    """
    if noise and sampler is None:
        raise ValueError("noise without a sampler")
    batch = _batch(network, inputs, batch)
    was_training = network.training
    network.eval()
    labels = np.empty(len(inputs), dtype=network.label_type)
    network.clear_noise()
    try:
        first_image = inputs[:1].to(network.device)
        with torch.inference_mode(), inference_values(network, first_image):
            if noise and sampler is not None:
                network.set_noise(noise, sampler)
            for first in range(0, len(inputs), batch):
                if sampler is not None:
                    sampler.start_batch(first)
                rows = slice(first, first + batch)
                logits = network(channels_last(inputs[rows].to(network.device)))
                labels[rows] = logits.cpu().argmax(1).numpy()
    finally:
        network.clear_noise()
        network.train(was_training)
    return labels

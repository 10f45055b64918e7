"""Evaluation at many levels of one site: what noise there cannot reach is computed once."""

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn

from flow.models.network import Network, channels_last
from flow.models.quant import fix_for_inference
from flow.noise import Noise, NoiseTap, Sampler
from flow.parallel import share


class _Tracer(fx.Tracer):
    """Goes into a module only if there are taps in it."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, NoiseTap) or not any(isinstance(c, NoiseTap) for c in m.modules())


class _Once:
    """A ``Sampler`` that draws what another does, once a batch, and gives it again and again."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._samples: dict[tuple[str, int], Tensor] = {}

    def start_batch(self, first_image: int) -> None:
        """Take the samples from this image on."""
        self._sampler.start_batch(first_image)
        self._samples.clear()

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        """Return the batch's samples of this site and draw."""
        if (site, draw) not in self._samples:
            self._samples[site, draw] = self._sampler(site, draw, shape)
        return self._samples[site, draw]


def evaluate_levels(
    network: Network,
    inputs: Tensor,
    site: str,
    levels: Sequence[Noise],
    sampler: Sampler,
    *,
    batch: int = 1000,
) -> npt.NDArray[np.uint8]:
    """Classify images at each level of noise on one site, as ``evaluate`` does one by one.

    Args:
        network: what to evaluate; left as it is.
        inputs: float32 [N, C, H, W] in −1..1.
        site: the site with the noise.
        levels: what is applied there, one after another, with the same samples.
        sampler: where the samples come from.
        batch: images at a time; TorchSampler's samples depend on it.

    Returns:
        The predicted labels, uint8 [levels, N].

    Raises:
        UserError: there is no such site.
    """
    network.tap(site)
    graph = _Tracer().trace(network)
    behind = _reached(graph, site)
    crossing = {n for node in behind for n in node.all_input_nodes} - behind
    labels = np.empty((len(levels), len(inputs)), dtype=np.uint8)
    fixed = copy.deepcopy(network).eval()
    fixed.clear_noise()
    with torch.inference_mode():
        fix_for_inference(fixed, inputs[:1])

    def work(rows: slice) -> None:
        # taps hold their noise and samplers their place, so threads need their own
        own, once = copy.deepcopy(fixed), _Once(copy.deepcopy(sampler))
        # a value that stands there already is not computed; nobody reads those of None
        prefix = fx.Interpreter(own, garbage_collect_values=False, graph=graph)
        suffix = fx.Interpreter(own, graph=graph)
        with torch.inference_mode():
            prefix.run(channels_last(inputs[rows]), initial_env=dict.fromkeys(behind))
            clean = {
                node: prefix.env[node] if node in crossing else None
                for node in graph.nodes
                if node not in behind
            }
            del prefix
            once.start_batch(rows.start)
            for row, noise in zip(labels, levels, strict=True):
                own.set_noise({site: noise}, once)
                row[rows] = suffix.run(initial_env=dict(clean)).argmax(1).numpy()

    share(len(inputs), batch, work)
    return labels


def _reached(graph: fx.Graph, site: str) -> set[fx.Node]:
    """Return the nodes that noise at a site reaches: its tap and all that depends on it."""
    reached: set[fx.Node] = set()
    for node in graph.nodes:
        is_tap = node.op == "call_module" and node.target == site
        if is_tap or not reached.isdisjoint(node.all_input_nodes):
            reached.add(node)
    return reached

"""Noise, ADC and tiles of one layer in our software, compared with aihwkit.

``python -m flow.experiments.benchmarks.aihwkit_comparison PYTHON`` prints the table of
``docs/results/aihwkit.md``. PYTHON is the interpreter of a virtual environment with aihwkit:
``python -m venv peer && peer/bin/pip install aihwkit==1.1.0``.

The second convolution of float-lenet5-bn has no bias, so both sides see the same values.
aihwkit computes that layer (`aihwkit_layer`); the rest of the network is ours on both sides.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from flow.experiments.settings import SoftwareWalkSettings
from flow.models import Network, evaluate
from flow.models.evaluation import Labels
from flow.models.floating import FloatConv
from flow.models.planes import Array
from flow.models.tiles import tile
from flow.noise import Additive, Noise, TorchSampler
from flow.noise.adc import Adc
from flow.statistics.intervals import wilson
from flow.training.zoo import TrainedNetwork

PEER = Path(__file__).with_name("aihwkit_layer.py")
"""Script that runs in the Python with aihwkit."""
MODEL, DATASET, LAYER = "float-lenet5-bn", "cifar10", "conv1"
IMAGES, BATCH = 2000, 100
SIGMAS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Output noise, relative to the standard deviation of the layer's clean values."""
BITS = (2, 3, 4, 5, 6)
ROWS = (25, 50, 75, 100, 150)
"""Rows of a tile, of the layer's 150, with noise of the clean standard deviation on each tile.
aihwkit does not split a kernel of 25."""


@dataclass(frozen=True)
class Case:
    """One setting on both sides."""

    name: str
    noise: Noise
    aihwkit: dict[str, float]
    """Fields of ``rpu_config.forward``, and ``max_input_size``."""
    rows: int | None = None


@dataclass(frozen=True)
class Side:
    """Result of one side."""

    labels: Labels
    """Predicted labels, integers [N]."""
    seconds: float
    """Time of the layer."""

    def accuracy(self, labels: npt.NDArray[Any]) -> str:
        """Return the accuracy with its 95 % interval, in percent."""
        correct = int((self.labels == labels).sum())
        low, high = wilson(correct, len(labels))
        return f"{100 * correct / len(labels):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def convolution(network: Network) -> nn.Conv2d:
    """Return the convolution that both sides compute."""
    return cast(nn.Conv2d, network.get_submodule(f"{LAYER}.conv"))


def cases(clean: Tensor) -> list[Case]:
    """Return the settings.

    Args:
        clean: values of the layer, float [N, O, H, W].
    """
    std = float(clean.std())
    found = []
    for share in SIGMAS:
        sigma = share * std
        name = f"noise of {share:g} std"
        found.append(Case(name, Additive(sigma_add=sigma), {"out_noise": sigma}))
    full_scale = float(np.quantile(clean.abs().flatten().numpy(), 0.999))
    for bits in BITS:
        adc = Adc.of_range(bits, full_scale)
        # the largest code of both; aihwkit's least code is minus that, and ours one further down
        bound = adc.codes[1] * adc.real_step
        fields = {"out_bound": bound, "out_res": adc.real_step / (2 * bound)}
        found.append(Case(f"ADC of {bits} bits", Additive(adc=adc), fields))
    for rows in ROWS:
        fields = {"out_noise": std, "max_input_size": rows}
        found.append(Case(f"tiles of {rows} rows", Additive(sigma_add=std), fields, rows))
    return found


def ours(network: Network, x: Tensor, inputs: Tensor, case: Case) -> Side:
    """Compute the layer and the labels in our software."""
    if case.rows is not None and case.rows < convolution(network).weight[0].numel():
        network = tile(network, Array(case.rows))
    site = next(one for one in network.sites if one.layer == LAYER and one.is_accumulator)
    sampler = TorchSampler(1)
    layer = cast(FloatConv, network.get_submodule(LAYER))
    network.eval().set_noise({site: case.noise}, sampler)
    started = time.perf_counter()
    with torch.inference_mode():
        for part in x.split(BATCH):
            layer.acc(layer.conv(part))
    seconds = time.perf_counter() - started
    network.clear_noise()
    labels = evaluate(network, inputs, noise={site: case.noise}, sampler=sampler, batch=BATCH)
    return Side(labels, seconds)


def theirs(
    python: str, network: Network, x: Tensor, inputs: Tensor, all_cases: list[Case]
) -> list[Side]:
    """Compute the layer in aihwkit, and the labels with the rest of the network."""
    layer = convolution(network)
    weight = layer.weight.detach()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(
            folder / "layer.npz", x=x, weight=weight, bias=torch.zeros(len(weight)),
            stride=layer.stride[0], padding=int(layer.padding[0]),
        )  # fmt: skip
        (folder / "settings.json").write_text(json.dumps([case.aihwkit for case in all_cases]))
        subprocess.run([python, str(PEER), name], check=True)
        found = np.load(folder / "out.npz")
        values = [torch.from_numpy(found[str(n)]) for n in range(len(all_cases))]
        seconds = found["seconds"]
    return [
        Side(_with_values(network, inputs, one), float(spent))
        for one, spent in zip(values, seconds, strict=True)
    ]


def _with_values(network: Network, inputs: Tensor, values: Tensor) -> Labels:
    """Return the labels with given values of the layer, float [N, O, H, W]."""
    rest = iter(values.split(BATCH))
    hook = convolution(network).register_forward_hook(lambda *_: next(rest))
    try:
        with torch.inference_mode():
            return np.concatenate([network(part).argmax(1) for part in inputs.split(BATCH)])
    finally:
        hook.remove()


def main() -> None:
    """Compare each setting and print the table."""
    (python,) = sys.argv[1:]
    settings = SoftwareWalkSettings(model=MODEL, dataset=DATASET, images=IMAGES)
    trained = TrainedNetwork.load(settings, default=IMAGES)
    network, inputs = trained.network.eval(), trained.inputs
    seen: list[Tensor] = []
    hook = convolution(network).register_forward_hook(
        lambda _, given, out: seen.extend((given[0], out))
    )
    with torch.inference_mode():
        network(inputs)
    hook.remove()
    x, clean = seen
    every = cases(clean)
    peers = theirs(python, network, x, inputs, every)
    print("| setting | ours, % | aihwkit, % | ours, images/s | aihwkit, images/s |")
    print("|---|---|---|---|---|")
    for case, peer in zip(every, peers, strict=True):
        own = ours(network, x, inputs, case)
        cells = [one.accuracy(trained.images.known_labels) for one in (own, peer)]
        rates = [f"{len(inputs) / one.seconds:,.0f}" for one in (own, peer)]
        print("|", " | ".join([case.name, *cells, *rates]), "|")


if __name__ == "__main__":
    main()

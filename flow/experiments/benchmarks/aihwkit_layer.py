"""One convolution on an analog tile of aihwkit.

`flow.experiments.benchmarks.aihwkit_comparison` runs this file with the Python that has aihwkit,
which need not have this project: ``python aihwkit_layer.py FOLDER``, where the folder has

- ``layer.npz``: ``x`` float32 [N, C, H, W], ``weight`` [O, C, K, K], ``bias`` [O], ``stride`` and
  ``padding``;
- ``settings.json``: fields of ``rpu_config.forward``, and ``max_input_size`` of its ``mapping``.

It writes ``out.npz`` with float32 [N, O, H', W'] of each setting by number, and ``seconds``.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from aihwkit.nn import AnalogConv2dMapped
from aihwkit.simulator.configs import TorchInferenceRPUConfig
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType


def configuration(fields):
    """Return a configuration with only the given effects."""
    config = TorchInferenceRPUConfig()
    config.mapping.weight_scaling_omega = 0.0
    config.mapping.weight_scaling_columnwise = False
    config.mapping.learn_out_scaling = False
    config.mapping.digital_bias = True
    config.mapping.max_input_size = fields.pop("max_input_size", 0)
    config.mapping.max_output_size = 0
    forward = config.forward
    forward.noise_management = NoiseManagementType.NONE
    forward.bound_management = BoundManagementType.NONE
    forward.inp_bound = forward.inp_res = forward.out_bound = forward.out_res = -1.0
    forward.inp_noise = forward.out_noise = forward.w_noise = 0.0
    for name, value in fields.items():
        setattr(forward, name, value)
    return config


def main(folder):
    """Compute the layer at every setting."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    given = np.load(folder / "layer.npz")
    x, weight, bias = (torch.from_numpy(given[name]) for name in ("x", "weight", "bias"))
    outputs, inputs, kernel, _ = weight.shape
    found, seconds = {}, []
    for number, fields in enumerate(json.loads((folder / "settings.json").read_text())):
        layer = AnalogConv2dMapped(
            inputs, outputs, kernel, stride=int(given["stride"]), padding=int(given["padding"]),
            bias=True, rpu_config=configuration(fields),
        )  # fmt: skip
        layer.set_weights(weight.flatten(1), bias)
        layer.eval()
        started = time.perf_counter()
        with torch.inference_mode():
            found[str(number)] = torch.cat([layer(part) for part in x.split(100)]).numpy()
        seconds.append(time.perf_counter() - started)
    np.savez(folder / "out.npz", seconds=np.array(seconds), **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

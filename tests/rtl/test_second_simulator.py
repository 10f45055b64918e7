"""Two simulators with nothing in common, and the golden model: the same bits from all three."""

import json
import shutil
import subprocess

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from torch import nn

from flow.compiler.pipeline import compile_network
from flow.models.qonnx.file import export_qonnx
from flow.models.qonnx.network import open_network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.rtl import simulate
from flow.rtl.equivalence import differing_images, first_divergence
from sim import runner
from sim.runner import REPOSITORY
from tests.helpers import cxxrtl
from tests.helpers.custom_networks import trained
from tests.helpers.variants import SHARED

BENCHES = REPOSITORY / "tests" / "benches"
MW, MH, PE, SIMD, BITS, VECTORS = 8, 4, 2, 4, 2, 12
IMAGES = 4
SHAPE = (8, 8, 1)


def hexadecimal(bits: np.ndarray) -> str:
    """Words of bits, [words, bits], the first lowest."""
    return "\n".join(f"{int(''.join(map(str, word[::-1])), 2):x}" for word in bits) + "\n"


def by_bits(values: np.ndarray) -> np.ndarray:
    return values[..., None] >> np.arange(BITS) & 1


@pytest.mark.slow
def test_lut_mvu_in_both_simulators(yosys, tmp_path):
    """The same outputs in each clock, under stalls, and the dot products."""
    rng = np.random.default_rng(4)
    weights = rng.integers(-2, 2, (MH, MW))
    vectors = rng.integers(0, 4, (VECTORS, MW))
    # [row fold, beat, PE, plane, bit], whose bit q belongs to element q mod 2 · 2 + q div 2
    order = np.arange(SIMD).reshape(BITS, -1).T.ravel()
    words = by_bits(weights).reshape(MH // PE, PE, MW // SIMD, SIMD, BITS)
    words = words.transpose(0, 2, 1, 4, 3)[..., order]
    (tmp_path / "weights.hex").write_text(hexadecimal(words.reshape(MH // PE * MW // SIMD, -1)))
    (tmp_path / "vectors.hex").write_text(hexadecimal(by_bits(vectors).reshape(-1, SIMD * BITS)))
    names = ("operands", "sums", "mvu")
    sources = [*SHARED, *(REPOSITORY / f"hw/kernels/lut_{name}.sv" for name in names)]
    parameters = {"MW": MW, "MH": MH, "PE": PE, "SIMD": SIMD}
    bench = BENCHES / "lut_mvu_main.cpp"
    verilator = runner.build(
        "lut_mvu", sources, parameters=parameters, optimise=False, public=(), main=bench
    )
    yosys_s = cxxrtl.build("lut_mvu", sources, bench, tmp_path, parameters=parameters)
    logs = []
    for program in (verilator.binary, yosys_s):
        subprocess.run([program], cwd=tmp_path, check=True)
        logs.append((tmp_path / "clocks.txt").read_text())
    assert logs[0] == logs[1]
    clocks = np.array([line.split() for line in logs[0].splitlines()], np.int64)
    taken = clocks[(clocks[:, 2] & clocks[:, 3]) == 1, 4].astype(np.uint16)
    found = taken.view(np.int8).reshape(-1, MH)
    assert np.array_equal(found, vectors @ weights.T)


def small() -> nn.Module:
    """Two layers, of two bits."""
    torch.manual_seed(1)
    return trained(
        nn.Sequential(
            nn.Flatten(),
            qnn.QuantIdentity(bit_width=2),
            qnn.QuantLinear(64, 12, bias=False, weight_bit_width=2),
            qnn.QuantReLU(bit_width=2),
            qnn.QuantLinear(12, 10, bias=False, weight_bit_width=2),
        )
    )


@pytest.mark.slow
def test_an_accelerator_in_both_simulators(yosys, inputs, built, tmp_path):
    """Labels, scores and the digest of every tap's stream, with noise at each tap."""
    export_qonnx(small(), SHAPE, tmp_path / "small.onnx")
    network = open_network(tmp_path / "small.onnx", SHAPE)
    accelerator = compile_network(network, inputs[:200], cycles=512, root=built / "accelerators")
    stream = accelerator.quantise(inputs[:IMAGES])
    noise = {
        site: TapSettings.of(Noise.at("mixed", 1.5), tap.scale, 9, image_base=0)
        for site, tap in accelerator.sites.items()
    }
    assert noise
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    results = simulate.simulate(accelerator, simulation, stream, [noise], tmp_path)[0]
    design = tmp_path / "design"
    shutil.copytree(accelerator.folder / "data", design / "data")
    program = cxxrtl.build(
        "accelerator",
        accelerator.sources,
        BENCHES / "accelerator_main.cpp",
        design,
        defines={"TAPS": len(accelerator.sites)},
    )
    writes = json.loads((tmp_path / "job.json").read_text())["points"][0]["settings"]
    lines = [*(" ".join(map(str, write)) for write in writes), str(IMAGES)]
    (tmp_path / "settings.txt").write_text("\n".join(lines))
    (tmp_path / "results.txt").unlink()
    subprocess.run([program], cwd=tmp_path, check=True)
    results += simulate.read_results(accelerator, IMAGES, 1, tmp_path)
    golden = accelerator.golden_model()
    for result in results:
        divergence = first_divergence(golden, stream, noise, result)
        assert not differing_images(golden, stream, noise, result).any(), divergence
    verilator, yosys_s = results
    assert (verilator.scores == yosys_s.scores).all()
    for site in noise:
        assert (verilator.digests[site] == yosys_s.digests[site]).all(), site

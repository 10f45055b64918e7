"""Two simulators with nothing in common, and the golden model: the same bits from all three."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from torch import nn

from flow.compiler.operators.noise_tap import NoiseTap_rtl
from flow.compiler.pipeline import compile_network
from flow.models.qonnx.file import export_qonnx
from flow.models.qonnx.network import open_network
from flow.noise import Noise
from flow.noise.hardware.fixed_point import apply_tap, digest
from flow.noise.hardware.registers import TapSettings
from flow.rtl import simulate
from flow.rtl.equivalence import differing_images, first_divergence
from sim import runner
from sim.runner import REPOSITORY
from tests.helpers import cxxrtl
from tests.helpers.custom_networks import trained
from tests.helpers.variants import SHARED
from tests.hw.noise.test_noise_tap import ADDITIVE, DRIFT, PATTERN, POINTS, Shape, offsets, stimulus

HW = REPOSITORY / "hw"
BENCHES = REPOSITORY / "tests" / "benches"
MW, MH, PE, SIMD, BITS, VECTORS = 8, 4, 2, 4, 2, 12
IMAGES = 4
IMAGES_OF_A_POINT = 3
SHAPE = (8, 8, 1)


def hexadecimal(bits: np.ndarray) -> str:
    """Words of bits, [words, bits], the first lowest."""
    return "\n".join(f"{int(''.join(map(str, word[::-1])), 2):x}" for word in bits) + "\n"


def by_bits(values: np.ndarray) -> np.ndarray:
    return values[..., None] >> np.arange(BITS) & 1


def in_both(module: str, names: Sequence[str], parameters: Mapping[str, int], folder: Path):
    """Run a module's bench in both simulators: the outputs in each clock, which must be equal."""
    sources = [*SHARED, *(path for name in names if (path := HW / name) not in SHARED)]
    bench = BENCHES / f"{module}_main.cpp"
    verilator = runner.build(
        module, sources, parameters=parameters, optimise=False, public=(), main=bench,
    )  # fmt: skip
    yosys = cxxrtl.build(module, sources, bench, folder, parameters=parameters)
    logs = []
    for program in (verilator.binary, yosys):
        subprocess.run([program], cwd=folder, check=True)
        logs.append((folder / "clocks.txt").read_text())
    assert logs[0] == logs[1]
    return np.array([line.split() for line in logs[0].splitlines()], np.int64)


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
    names = [f"kernels/lut_{name}.sv" for name in ("operands", "sums", "mvu")]
    parameters = {"MW": MW, "MH": MH, "PE": PE, "SIMD": SIMD}
    clocks = in_both("lut_mvu", names, parameters, tmp_path)
    taken = clocks[(clocks[:, 2] & clocks[:, 3]) == 1, 4].astype(np.uint16)
    found = taken.view(np.int8).reshape(-1, MH)
    assert np.array_equal(found, vectors @ weights.T)


@pytest.mark.slow
def test_noise_tap_in_both_simulators(yosys, tmp_path):
    """The same outputs in each clock, under stalls and changing settings, and those of its twin."""
    shape = Shape(channels=6, pe=2, pixels=2, in_bits=8, out_bits=16, site=3)
    points = [POINTS[4], PATTERN, DRIFT, replace(ADDITIVE, adc_bits=6, adc_step=1000, executions=2)]
    values = stimulus(shape, IMAGES_OF_A_POINT * len(points))
    words = [
        f"{shape.site:x} {address:x} {data:x}"
        for number, point in enumerate(points)
        for address, data in point.registers(IMAGES_OF_A_POINT * number)
    ]
    (tmp_path / "writes.hex").write_text("\n".join(words))
    beats = (values.reshape(-1, shape.pe).numpy() & 0xFF).astype(np.uint8).view("<u2")
    (tmp_path / "beats.hex").write_text("\n".join(f"{beat:x}" for beat in beats.ravel()))
    parameters = {"CHANNELS": shape.channels, "PE": shape.pe, "PIXELS": shape.pixels}
    parameters |= {"SITE": shape.site, "CORES": 1, "DIGEST_LANES": 1}
    clocks = in_both("noise_tap", NoiseTap_rtl.sources, parameters, tmp_path)
    assert not clocks[:, 1].any(), "settings came late"
    found = clocks[clocks[:, 2] == 1, 3].astype("<u4").view("<i2").reshape(len(values), -1)
    stream = torch.cat([
        apply_tap(part, offsets(shape), shape.format, point, shape.site)
        for part, point in zip(values.split(IMAGES_OF_A_POINT), points, strict=True)
    ])  # fmt: skip
    assert np.array_equal(found, stream.numpy())
    assert clocks[clocks[:, 4] == 1, 5].tolist() == digest(stream).tolist()


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
    accelerator = compile_network(
        network, inputs[:200], cycles=512, kinds=["mixed"], root=built / "accelerators"
    )
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

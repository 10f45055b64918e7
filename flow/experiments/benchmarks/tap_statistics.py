"""Statistics of samples from the noise tap's RTL, not from its twin.

``python -m flow.experiments.benchmarks.tap_statistics`` draws 10^7 of each of two sites and draws
and prints the table of ``docs/results/samples.md``.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from flow.compiler.operators.kernel import SHARED
from flow.compiler.operators.noise_tap import NoiseTap_rtl
from flow.noise.gaussian import FRACTION_BITS
from flow.noise.hardware.registers import SIGMA_FRACTION_BITS, TapSettings
from flow.paths import HW
from flow.statistics.random_samples import Figure, Samples
from sim import runner

CHANNELS, PE, PIXELS = 64, 16, 25
ELEMENTS = CHANNELS * PIXELS
SEED = 2026
_OUT_BITS = 24


def draw(images: int, settings: TapSettings, workdir: Path) -> Samples:
    """Draw samples with the RTL.

    Args:
        images: how many.
        settings: additive or multiplicative noise of σ = 1.
        workdir: folder for the simulator's files.

    Returns:
        z, [2 sites, images, ELEMENTS], pixels · channels, channels last.
    """
    bench = Path(runner.__file__).with_name("tap_samples.sv")
    simulation = runner.build(
        "tap_samples",
        [*(HW / name for name in (*SHARED, *NoiseTap_rtl.sources)), bench],
        parameters={"CHANNELS": CHANNELS, "PE": PE, "PIXELS": PIXELS},
        public=(
            "clk", "rst_n", "run", "cfg_valid", "cfg_addr", "cfg_data", "limit", "done",
        ),
    )  # fmt: skip
    workdir.mkdir(parents=True, exist_ok=True)
    beats = images * ELEMENTS // PE
    job = {"beats": beats, "writes": list(settings.registers(start=0))}
    (workdir / "in.json").write_text(json.dumps(job))
    simulation.run("sim.tap_samples_bench", workdir=workdir)
    found = [_read(workdir / f"samples{site}.txt") for site in range(2)]
    return np.stack(found).reshape(2, images, ELEMENTS)


def _read(path: Path) -> Samples:
    # the first element is last in a line
    data = bytes.fromhex(path.read_text().replace("\n", ""))
    octets = np.frombuffer(data, np.uint8).reshape(-1, PE, _OUT_BITS // 8)[:, ::-1]
    values = octets.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    values -= (values >> (_OUT_BITS - 1)) << _OUT_BITS
    return ((values - (1 << FRACTION_BITS)) / (1 << FRACTION_BITS)).astype(np.float32)


def draws(images: int, workdir: Path) -> list[Samples]:
    """Return z₁ and z₂, each as `draw` gives it."""
    one = 1 << SIGMA_FRACTION_BITS
    common = TapSettings(seed=SEED, enable=True)
    each = (replace(common, sigma_mul=one), replace(common, sigma_add=one))
    return [draw(images, settings, workdir / f"z{i + 1}") for i, settings in enumerate(each)]


def describe(z1: Samples, z2: Samples) -> Iterator[Figure]:
    """Yield statistics of the samples of both draws, with their limits.

    The bounds of the moments are the design's, which are for 10^7 samples, and wider for fewer; the
    others are five standard errors.
    """
    z, n = z2[0].ravel().astype(np.float64), z2[0].size
    wider = max(1.0, (10**7 / n) ** 0.5)
    yield Figure("mean", z.mean(), -1e-3 * wider, 1e-3 * wider)
    yield Figure("variance", z.var(), 1 - 2e-3 * wider, 1 + 2e-3 * wider)
    yield Figure("excess kurtosis", stats.kurtosis(z), -0.02 * wider, 0.02 * wider)
    for bound in (3.0, 4.0, 4.5, 5.0):
        expected = n * 2 * stats.norm.sf(bound)
        width = 5 * max(expected, 1) ** 0.5
        seen = float((np.abs(z) > bound).sum())
        yield Figure(f"samples beyond {bound:g} σ", seen, expected - width, expected + width)
    part = min(n, 10**6)
    yield Figure(
        f"Kolmogorov-Smirnov p, {part:,} samples", stats.kstest(z[:part], "norm").pvalue, 0.01, 1
    )
    pixels = z2[0].reshape(len(z2[0]), PIXELS, CHANNELS)
    pairs = {
        "neighbouring channels": (pixels[..., :-1], pixels[..., 1:]),
        "neighbouring pixels": (pixels[:, :-1], pixels[:, 1:]),
        "elements of two words' blocks": (pixels[..., :-4], pixels[..., 4:]),
        "neighbouring images": (pixels[:-1], pixels[1:]),
        "two sites": (z2[0], z2[1]),
        "two draws": (z1[0], z2[0]),
        "squares of neighbouring channels": (pixels[..., :-1] ** 2, pixels[..., 1:] ** 2),
    }
    for name, (a, b) in pairs.items():
        r = float(np.corrcoef(a.ravel().astype(np.float64), b.ravel().astype(np.float64))[0, 1])
        yield Figure(f"correlation, {name}", r, -5 / a.size**0.5, 5 / a.size**0.5)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        found = draws(10**7 // ELEMENTS, Path(folder))
    print(f"| {found[0][0].size:,} samples per site and draw | measured | must lie in |")
    print("|---|---|---|")
    for f in describe(*found):
        print(f"| {f.name} | {f.value:.6g} | {f.low:.6g} to {f.high:.6g} |")


if __name__ == "__main__":
    main()

"""The whole accelerator in RTL against the golden model, bit for bit."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from flow.compiler.pipeline import compile_network
from flow.errors import UserError
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.noise.quantile_table import QuantileTable
from flow.rtl import simulate
from flow.rtl.equivalence import differing_images, first_divergence

IMAGES = 24


@pytest.fixture(scope="module")
def simulation(accelerator, built):
    return simulate.build(accelerator, root=built / "sim", optimise=False)


def settings(accelerator, site, kind, sigma, seed=9, **options):
    noise = Noise.at(kind, sigma, **options)
    return TapSettings.of(noise, accelerator.sites[site].scale, seed, image_base=0)


def table(kind: str) -> QuantileTable:
    drawn = getattr(np.random.default_rng(3), kind)(2, size=999)
    return QuantileTable.of(np.sort(drawn).astype(np.float32))


def every_point(accelerator):
    """Clean; each kind and order at each site; all sites at once; clean again."""
    yield {}
    for site in accelerator.sites:
        for kind, sigma, options in (
            ("additive", 1.7, {}),
            ("multiplicative", 0.9, {}),
            ("mixed", 2.0, {}),
            ("mixed", 2.0, {"order": "add-mul"}),
        ):
            yield {site: settings(accelerator, site, kind, sigma, **options)}
        for kind, options in (
            ("fixed-pattern", {}),
            ("fixed-pattern", {"device": 5}),
            ("drift", {"gain_rate": -20.0, "sigma_rate": 50.0}),
            ("additive", {"executions": 3}),
        ):
            yield {site: settings(accelerator, site, kind, 2.0, **options)}
        # each table is loaded while the images of the point before are still inside
        yield {site: replace(settings(accelerator, site, "additive", 2.0), table=table("gamma"))}
        yield {site: replace(settings(accelerator, site, "mixed", 2.0), table=table("laplace"))}
    yield {
        site: settings(accelerator, site, "mixed", 1.0, seed=1 << 40) for site in accelerator.sites
    }
    yield {}


def compare(accelerator, simulation, stream, points, workdir, **options):
    golden = accelerator.golden_model()
    results, _ = simulate.simulate(accelerator, simulation, stream, points, workdir, **options)
    assert len(results) == len(points)
    for noise, result in zip(points, results, strict=True):
        divergence = first_divergence(golden, stream, noise, result)
        assert not differing_images(golden, stream, noise, result).any(), (noise, divergence)
        assert divergence is None
    return results


def test_rtl_equals_golden_clean_and_noisy_at_every_site(accelerator, simulation, inputs, tmp_path):
    stream = accelerator.quantise(inputs[:IMAGES])
    points = list(every_point(accelerator))
    results = compare(accelerator, simulation, stream, points, tmp_path)
    clean = results[0]
    assert (clean.labels == results[-1].labels).all()
    for noise, result in zip(points[1:-1], results[1:-1], strict=True):
        for site in noise:
            assert (result.digests[site] != clean.digests[site]).any(), site


def test_rtl_equals_golden_under_stalls(accelerator, simulation, inputs, tmp_path):
    stream = accelerator.quantise(inputs[:IMAGES])
    points = list(every_point(accelerator))[-4:]
    compare(accelerator, simulation, stream, points, tmp_path, stall=True)


def test_one_bit_is_one_bit_wide(bipolar_accelerator):
    """Streams of activations and memories of weights, and the accumulators are dot products."""
    manifest = bipolar_accelerator.manifest
    units = [node for node in manifest["nodes"] if node["operator"] == "MVAU_rtl"]
    assert manifest["input"]["bits"] == 1
    assert {unit["input_type"] for unit in units} == {"BIPOLAR"}
    for unit in units:
        memory = bipolar_accelerator.folder / simulate.DATA / f"{unit['name']}_memblock.dat"
        words = memory.read_text().split()
        assert 4 * len(words[0]) - unit["PE"] * unit["SIMD"] in range(4)
        assert unit["output_type"].startswith("INT")


def test_one_bit_rtl_equals_golden(bipolar_accelerator, built, inputs, tmp_path):
    stream = bipolar_accelerator.quantise(inputs[:IMAGES])
    simulation = simulate.build(bipolar_accelerator, root=built / "sim", optimise=False)
    points = list(every_point(bipolar_accelerator))
    compare(bipolar_accelerator, simulation, stream, points, tmp_path)


def test_taps_that_are_built_for_some_kinds(
    accelerator, network, simulation, inputs, built, tmp_path
):
    """They make the same noise, and refuse what they lack."""
    additive = compile_network(
        network,
        inputs[:200],
        sites=network.all_sites,
        cycles=256,
        kinds=("adc", "additive"),
        root=built / "accelerators",
    )
    assert additive.manifest["kinds"] == ["additive", "adc"]
    assert set(accelerator.manifest["kinds"]) > set(additive.manifest["kinds"])
    stream = accelerator.quantise(inputs[:IMAGES])
    noise = replace(settings(accelerator, "fc1.acc", "additive", 4.0), adc_bits=4, adc_step=512)
    ours = simulate.build(additive, root=built / "sim", optimise=False)
    found = [
        simulate.simulate(one, binary, stream, [{"fc1.acc": noise}], tmp_path / name)[0][0]
        for name, one, binary in (("every", accelerator, simulation), ("some", additive, ours))
    ]
    assert (found[0].scores == found[1].scores).all()
    for kind in ("multiplicative", "fixed-pattern"):
        lacking = {"fc1.acc": settings(accelerator, "fc1.acc", kind, 0.3)}
        with pytest.raises(UserError, match=f"built for additive and adc alone lack .*{kind}"):
            simulate.simulate(additive, ours, stream, [lacking], tmp_path / kind)


def test_noise_does_not_depend_on_batching(accelerator, simulation, inputs, tmp_path):
    stream = accelerator.quantise(inputs[:IMAGES])
    noise = {"fc1.acc": settings(accelerator, "fc1.acc", "additive", 4.0)}
    whole, _ = simulate.simulate(accelerator, simulation, stream, [noise], tmp_path / "a")
    half = IMAGES // 2
    later = {"fc1.acc": TapSettings(**{**vars(noise["fc1.acc"]), "image_base": half})}
    part, _ = simulate.simulate(accelerator, simulation, stream[half:], [later], tmp_path / "b")
    assert (whole[0].digests["fc1.acc"][half:] == part[0].digests["fc1.acc"]).all()
    assert (whole[0].scores[half:] == part[0].scores).all()


def test_a_planted_weight_error_is_caught_and_its_layer_named(
    accelerator, simulation, inputs, tmp_path
):
    data = tmp_path / "data"
    shutil.copytree(accelerator.folder / simulate.DATA, data)
    memory = data / "MVAU_rtl_1_memblock.dat"
    words = memory.read_text().split()
    words[0] = f"{int(words[0], 16) ^ 0b10:0{len(words[0])}x}"
    memory.write_text("\n".join(words) + "\n")
    stream = accelerator.quantise(inputs[:IMAGES])
    (result,), _ = simulate.simulate(
        accelerator, simulation, stream, [{}], tmp_path / "run", data=data
    )
    golden = accelerator.golden_model()
    assert differing_images(golden, stream, {}, result).any()
    divergence = first_divergence(golden, stream, {}, result)
    assert divergence is not None and divergence.startswith("site fc1.acc, image ")


def test_results_that_are_cut_short_are_an_error(accelerator, simulation, inputs, tmp_path):
    stream = accelerator.quantise(inputs[:4])
    simulate.simulate(accelerator, simulation, stream, [{}], tmp_path)
    results = tmp_path / "results.txt"
    lines = results.read_text().splitlines()
    results.write_text("\n".join(line for line in lines if line != lines[-1]))
    with pytest.raises(ValueError, match=r"not 4 \("):
        simulate.read_results(accelerator, 4, 1, tmp_path)


def test_manifest_lists_nodes_widths_folding_and_sites(accelerator, network):
    manifest = accelerator.manifest
    assert [site["name"] for site in manifest["sites"]] == network.sites
    operators = [node["operator"] for node in manifest["nodes"]]
    assert operators.count("MVAU_rtl") == 4 and operators[-1] == "LabelSelect_rtl"
    assert all(operator.endswith("_rtl") for operator in operators)
    units = [node for node in manifest["nodes"] if node["operator"] == "MVAU_rtl"]
    assert all(node["cycles"] <= 256 and node["PE"] and node["SIMD"] for node in units)
    last = accelerator.sites["fc3.acc"]
    assert (last.out_bits, last.fraction_bits) == (32, 8)
    assert np.prod(manifest["nodes"][0]["folded_input"]) == 64

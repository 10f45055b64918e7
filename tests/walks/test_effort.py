"""How much is measured for a point where the user does not say."""

from types import SimpleNamespace

from flow.walks.effort import Effort
from flow.walks.settings import HardwareWalkSettings


def test_late_sites_of_a_large_network_get_more_independent_draws():
    shapes = {"conv0.acc": (784, 64), "conv1.acc": (100, 64), "fc0.acc": (1, 512)}
    sites = {n: SimpleNamespace(pixels=p, channels=c) for n, (p, c) in shapes.items()}
    independent = HardwareWalkSettings(draws="independent")
    for cycles, draws in ((8000, [1, 8, 8, 8]), (1000, [4, 8, 8, 16])):
        manifest = {"cycles_per_image": cycles}
        accelerator = SimpleNamespace(manifest=manifest, sites=sites, weights=["fc0.weight"])
        found = Effort.of(independent, accelerator, 2000).draws
        assert [found[site] for site in (*shapes, "fc0.weight")] == draws
        for device, devices in ((None, draws[-1]), (5, 1)):  # all images have the device's noise
            chosen = HardwareWalkSettings(noise="fixed-pattern", device_seed=device)
            of_device = Effort.of(chosen, accelerator, 2000).draws
            assert {of_device[site] for site in shapes} == {devices}
        many = Effort.of(independent, accelerator, 10_000).draws
        assert [many[site] for site in shapes] == [draws[0], *[max(draws[0], 2)] * 2]
        given = Effort.of(HardwareWalkSettings(draws=2), accelerator, 2000).draws
        assert set(given.values()) == {2}
        common = Effort.of(HardwareWalkSettings(), accelerator, 2000).draws
        assert {common[site] for site in shapes} == {1 if cycles > 4096 else 2}

"""Few points with noise that tell every site from the others."""

from collections.abc import Mapping, Sequence

from flow.noise.hardware.registers import TapSettings


def coded(sites: Sequence[str]) -> list[list[str]]:
    """Return groups of sites: each is in one at least, and no two are in the same ones.

    Noise at a group shows at each of its sites. Settings that reached another site, or none, would
    show at a site where the group has no noise, or in another group.
    """
    bits = range(len(sites).bit_length())
    return [[site for n, site in enumerate(sites, 1) if n >> bit & 1] for bit in bits]


def coded_points(noise: Mapping[str, TapSettings]) -> list[dict[str, TapSettings]]:
    """Return points without noise, with the noise of each group of sites, and with all of it."""
    groups = [[], *coded(list(noise)), list(noise)]
    return [{site: noise[site] for site in group} for group in groups]

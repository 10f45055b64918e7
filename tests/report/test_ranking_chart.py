"""Bars of the noise that sites tolerate: order, units, geometry."""

import math

import pytest

from flow.report.ranking_chart import START, WIDTH, chart, ranking


def entry(mu: list[float | None], share: float, scale: float = 1.0, unit: str = "real") -> dict:
    return {"mu_hw": mu, "mu_sw": mu, "noise_share": share, "scale": scale, "unit": unit}


SITES = {
    "conv0.acc": entry([8.0, 7.0, 9.0], 0.5),
    "conv1.acc": entry([2.0, 1.8, 2.2], 0.5, scale=0.25),
    "fc0.acc": entry([None, 100.0, None], 0.5),
}


def test_the_most_sensitive_site_comes_first_in_every_unit() -> None:
    units = chart({"sites": SITES})
    names = [unit.name for unit in units]
    share_of_std, *others = names
    assert share_of_std == "relative to the values"
    assert others == ["SNR in dB", "effective bits", "real", "LSB"]
    for unit in units:
        assert [bar.site for bar in unit.bars] == ["conv1.acc", "conv0.acc", "fc0.acc"]
        for bar in unit.bars:
            assert START < bar.end < WIDTH
            assert bar.bound == (bar.site == "fc0.acc")
            if not bar.bound:
                assert bar.low < bar.end < bar.high
    share, snr, bits, _, lsb = (unit.bars[0].text for unit in units)
    assert share == "1 [0.9, 1.1]" and lsb == "8 [7.2, 8.8]"
    assert snr == f"0.0 [{-20 * math.log10(1.1):.1f}, {-20 * math.log10(0.9):.1f}] dB"
    ends = [(-20 * math.log10(share) - 1.76) / 6.02 for share in (1.0, 1.1, 0.9)]
    assert bits == "{:.1f} [{:.1f}, {:.1f}] bits".format(*ends)
    assert units[1].bars[2].text == f"< {-20 * math.log10(50):.1f} dB"
    assert ranking({"sites": SITES})[0].site == "conv1.acc"


def test_bars_share_a_logarithmic_scale() -> None:
    bars = chart({"sites": SITES})[0].bars
    reach = math.log(50 * 1.15 / (0.9 / 1.15))
    expected = (WIDTH - START) * math.log(4) / reach
    assert bars[1].end - bars[0].end == pytest.approx(expected, abs=0.2)


def test_factors_have_no_lsb_and_one_site_no_chart() -> None:
    factors = {name: {**one, "unit": "none"} for name, one in SITES.items()}
    assert [unit.name for unit in chart({"sites": factors})][3:] == ["σ as a factor"]
    assert chart({"sites": {"conv0.acc": SITES["conv0.acc"], "fc0.acc": SITES["fc0.acc"]}}) == []
    old = {
        name: {k: v for k, v in one.items() if k != "noise_share"} for name, one in SITES.items()
    }
    assert chart({"sites": old}) == []

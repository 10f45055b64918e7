"""Noise that images share: devices in every interval, on made-up walks whose truth is known."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import t

from flow.noise import KINDS, shared_by_images
from flow.report.wording import need_sentence
from flow.statistics.devices import FEWEST, by_device, jackknife, widened
from flow.statistics.midpoint import midpoint
from flow.statistics.ratio import LogRatio, log_ratio
from flow.statistics.verdict import LEVEL, need
from flow.walks.crosscheck.figures import paired_difference
from flow.walks.points.curves import curve_of
from flow.walks.points.side import Side
from tests.helpers.synthetic import GUESS, device_walk, independent_check, walk

Z95 = 1.959964


def ratios(devices: int, seed: int, shift: float = 1.0, **options) -> tuple[LogRatio, LogRatio]:
    """The ratio of a walk, and as it would be from images alone."""
    points, labels = device_walk(devices, shift=shift, seed=seed, **options)
    sides = [curve_of(points, labels, "fc0.weight", side) for side in (Side.GOLDEN, Side.SOFTWARE)]
    alone = [dataclasses.replace(curve, devices=None) for curve in sides]
    found = [log_ratio(*pair, GUESS, resamples=99) for pair in (sides, alone)]
    return found[0], found[1]


def test_where_images_share_their_noise() -> None:
    assert shared_by_images("fc0.weight", "additive")
    for kind in KINDS:
        assert shared_by_images("conv0.weight", kind)
        assert shared_by_images("fc0.acc", kind) == (kind == "fixed-pattern")
    rows = np.array([[0.8, 0.4], [0.8, 0.4], [0.8, 0.4]])
    assert len(by_device(rows, 0.85)) == 1  # a fixed device, three times
    rows[2] = [0.81, 0.4]
    assert len(by_device(rows, 0.85)) == 3
    assert len(by_device(np.full((3, 2), 0.85), 0.85)) == 3  # noise without any effect


def test_jackknife_and_interval_of_a_mean_are_the_textbooks() -> None:
    """Of a mean: s²/D, and Student's interval with D − 1; of two, Welch's."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 6), rng.normal(0, 3, 9)
    spreads = [jackknife((x.sum() - x) / (len(x) - 1)) for x in (a, b)]
    variances = [x.var(ddof=1) / len(x) for x in (a, b)]
    assert [s.variance for s in spreads] == pytest.approx(variances)
    one = widened((0.0, 0.0), (0.0, 0.0), spreads[:1])
    assert one.dof == pytest.approx(5) and one.share == 1
    assert one.ends[1] == pytest.approx(t.ppf(0.975, 5) * np.sqrt(variances[0]))
    welch = sum(variances) ** 2 / (variances[0] ** 2 / 5 + variances[1] ** 2 / 8)
    both = widened((0.0, 0.0), (-Z95, 2 * Z95), spreads)
    images = 1.5**2
    dof = (images + sum(variances)) ** 2 / (sum(variances) ** 2 / welch)
    assert both.dof == pytest.approx(dof)
    assert both.ends == pytest.approx(
        [-t.ppf(0.975, dof) * np.sqrt(1 + sum(variances)),
         t.ppf(0.975, dof) * np.sqrt(4 + sum(variances))]
    )  # fmt: skip
    nothing = widened((0.0, 0.0), (-1.0, 2.0), [jackknife(np.zeros(4))])
    assert nothing.ends == pytest.approx((-1.0, 2.0)) and nothing.dof == np.inf


@pytest.mark.slow
def test_equal_sides_are_seldom_said_to_disagree_and_images_alone_would_say_it() -> None:
    """Eight devices a side, 70 walks: from images alone, one of four equal walks disagrees."""
    found = [ratios(8, seed) for seed in range(70)]
    new, old = (
        np.mean([r.p_disagree(0.1) <= LEVEL for r in each]) for each in zip(*found, strict=True)
    )
    assert new <= LEVEL and old > 0.12
    held, missed = (np.mean([r.lo <= 0 <= r.hi for r in each]) for each in zip(*found, strict=True))
    assert held >= 0.88 and missed < 0.8  # 88 % or fewer of 70 would come in 2 % of cases


@pytest.mark.slow
@pytest.mark.parametrize("devices", [FEWEST, 16])
def test_at_the_margin_each_word_is_as_rare_as_stated(devices: int) -> None:
    """True ratios of 0.9 and 1.1: 5 %, here of 60 walks; more than 7 would come in 1 %."""
    found = [ratios(devices, seed, (0.9, 1.1)[seed % 2])[0] for seed in range(60)]
    for p in ([r.p_disagree(0.1) for r in found], [r.p_agree(0.1) for r in found]):
        assert np.sum(np.array(p) <= LEVEL) <= 7


@pytest.mark.parametrize(("shift", "verdict"), [(1.0, "agree"), (1.4, "disagree")])
def test_enough_devices_decide(shift: float, verdict: str) -> None:
    points, labels = device_walk(128, shift=shift, images=1500, rtl=20, seed=1)
    site = independent_check(points, labels, 0.1, resamples=199).sites[0]
    assert site.verdict == verdict and site.need is None
    assert site.figures.devices == 128 and 0.3 < site.figures.noise < 1
    assert site.to_json()["devices"] == {
        "sw": 128, "golden": 128, "rtl": 1, "crn": 128, "hw": 128,
    }  # fmt: skip


def test_few_devices_are_undecided_and_draws_are_named() -> None:
    points, labels = device_walk(8, images=1500, rtl=20)
    check = independent_check(points, labels, 0.1, resamples=199)
    entry = check.sites[0].to_json()
    assert entry["verdict"] == "undecided" and entry["need"]["images"] is None
    assert entry["need"]["draws"] > 16 and "images alone would not" in need_sentence(entry)
    assert entry["detectable"]["difference"] > 0.2


def test_intervals_hold_devices_but_for_common_random_numbers() -> None:
    """The same points at a site of fresh noise: narrower, and as without the devices' part."""
    points, labels = device_walk(8, rtl=40)
    fresh = [dataclasses.replace(p, site=p.site and "fc0.acc") for p in points]
    shared, alone = (
        independent_check(some, labels, 0.1, resamples=199).sites[0].to_json()
        for some in (points, fresh)
    )
    for key in ("mu_sw", "mu_golden", "mu_crn", "ratio_golden"):
        (mu, lo, hi), (same, low, high) = shared[key], alone[key]
        assert mu == same and np.log(hi / lo) > 1.2 * np.log(high / low), key
    assert shared["ratio_crn"] == alone["ratio_crn"]
    assert shared["ratio_rtl"] is None and alone["ratio_rtl"] is not None
    assert shared["differences"]["rtl"] == [] and len(alone["differences"]["rtl"]) == 9
    assert shared["devices"]["rtl"] == 1 and alone["devices"] is None
    golden = (entry["differences"]["golden"] for entry in (shared, alone))
    for ours, theirs in zip(*golden, strict=True):
        (d, lo, hi), (same, low, high) = ours["difference"], theirs["difference"]
        assert d == same and lo < low and hi > high


def test_one_device_says_nothing_of_others() -> None:
    points, labels = device_walk(1, shift=3.0, rtl=20)
    site = independent_check(points, labels, 0.1, resamples=199).sites[0]
    entry = site.to_json()
    assert site.verdict == "undecided" and "one device" in site.reason
    assert f"{FEWEST} noise draws at least" in site.reason
    assert entry["need"] == {"images": None, "draws": FEWEST} and entry["detectable"] is None
    assert entry["ratio_golden"] is None and entry["p_agree"] == entry["p_disagree"] == 1
    assert entry["differences"] == {"golden": [], "rtl": []}
    assert entry["mu_golden"][0] == site.figures.midpoints["golden"].mu
    assert entry["ratio_crn"] is not None


def test_a_fixed_device_is_one_however_often_it_is_drawn() -> None:
    points, labels = device_walk(1, shift=3.0, rtl=20, kind="fixed-pattern", site="fc0.acc")
    again = [dataclasses.replace(p, seed=7) for p in points if p.site and p.side != "rtl"]
    site = independent_check([*points, *again], labels, 0.1, resamples=199).sites[0]
    assert site.verdict == "undecided" and "it is fixed" in site.reason
    assert site.need is None and site.figures.draws == 2 and site.figures.devices == 1


def test_a_bit_mismatch_disagrees_with_one_device_too() -> None:
    points, labels = device_walk(1, rtl=20)
    wrong = [dataclasses.replace(p, bit_mismatches=2) if p.side == "rtl" else p for p in points]
    assert independent_check(wrong, labels, 0.1, resamples=99).sites[0].verdict == "disagree"


def test_devices_that_lack_a_level_are_no_unit() -> None:
    """A run that was cut short: the draws that were measured at every level count."""
    points, labels = device_walk(5)
    cut = [p for p in points if not (p.seed == 4 and p.sigma > 1)]
    curve = curve_of(cut, labels, "fc0.weight", Side.SOFTWARE)
    assert curve is not None and curve.devices.shape == (4, 9)
    assert list(curve.seeds) == [5] * 5 + [4] * 4
    found = midpoint(curve, GUESS, resamples=99)
    assert found.devices == 4 and found.lo < found.mu < found.hi


@pytest.mark.parametrize("log_r", [0.01, 0.3])
def test_so_many_draws_as_needed_decide(log_r: float) -> None:
    """In 80 %, with the quantiles that so many devices have."""
    spread, dof = 0.08, 14.0
    half = t.ppf(0.975, dof) * spread
    now = LogRatio(log_r, log_r, log_r - half, log_r + half, dof, 0.99)
    wanted = need(now, LEVEL, LEVEL / 9, 0.1, 0.99)
    assert wanted is not None and wanted.draws is not None and wanted.images is None
    assert wanted.draws > 1
    rng = np.random.default_rng(0)
    less = spread * np.sqrt(0.01 + 0.99 / wanted.draws)
    later = dof * wanted.draws
    measured = less * np.sqrt(rng.chisquare(later, 2000) / later)
    estimates = zip(rng.normal(log_r, less, 2000), t.ppf(0.975, later) * measured, strict=True)
    made = [LogRatio(e, e, e - half, e + half, later, 0.9) for e, half in estimates]
    level = LEVEL if log_r < 0.1 else LEVEL / 9
    claims = [r.p_agree(0.1) if log_r < 0.1 else r.p_disagree(0.1) for r in made]
    # an estimate in the middle has both ends to pass, so it is somewhat harder
    assert np.mean(np.array(claims) <= level) == pytest.approx(0.8, abs=0.15)


def test_differences_of_points_cover_with_devices_and_not_without() -> None:
    rng = np.random.default_rng(0)
    held = np.zeros(2)
    for _ in range(500):
        sides = []
        for _ in range(2):
            accuracy = rng.normal(0.5, 0.07, 6)
            sides.append(rng.random((6, 400)) < accuracy[:, None])
        ours, theirs = (hits.mean(axis=0) for hits in sides)
        devices = [hits.mean(axis=1) for hits in sides]
        for number, known in enumerate((devices, [])):
            _, lo, hi = paired_difference(ours, theirs, known)
            held[number] += lo <= 0 <= hi
    assert 0.93 <= held[0] / 500 <= 0.99 and held[1] / 500 < 0.6


def test_fresh_noise_is_left_as_it_was() -> None:
    """Figures from before devices were known of, to the last digit that matters."""
    points, labels = walk({"a": (0.7, 2.0)}, images=200, rtl=20, seed=3)
    entry = independent_check(points, labels, 0.1, resamples=99).sites[0].to_json()
    assert entry["devices"] is None
    assert entry["ratio_golden"] == pytest.approx((1.01447760, 0.87925094, 1.15173069), rel=1e-5)
    p = entry["p_agree"], entry["p_disagree"]
    assert p == pytest.approx((0.105624668, 0.916715123), rel=1e-5)
    shown = list(entry["detectable"].values())
    assert shown == pytest.approx([0.212803517, 0.305445485], rel=1e-5)
    assert entry["need"] == {"images": 895, "draws": 5}

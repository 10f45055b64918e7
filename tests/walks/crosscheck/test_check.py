"""Verdicts on made-up walks whose truth is known."""

import dataclasses
import json

import numpy as np
import pytest

from flow.statistics.ratio import log_ratio, noise_share
from flow.statistics.verdict import LEVEL
from flow.walks.crosscheck.check import CrossCheck
from flow.walks.crosscheck.figures import paired_difference
from flow.walks.points.curves import curve_of
from flow.walks.points.point import Point
from flow.walks.points.side import Side
from tests.helpers.synthetic import independent_check, walk

SITES = {"conv0.acc": (0.7, 2.0), "fc0.acc": (20.0, 3.0)}


def ratios(check: CrossCheck) -> list[list[float] | None]:
    return [site.to_json()["ratio"] for site in check.sites]


@pytest.mark.slow
def test_equal_sides_agree() -> None:
    check = independent_check(*walk(SITES), 0.1)
    assert [site.verdict for site in check.sites] == ["agree", "agree"]
    assert check.verdict == "agree"
    for site, ratio in zip(check.sites, ratios(check), strict=True):
        assert ratio is not None and 0.9 < ratio[1] < 1 < ratio[2] < 1.1
        figures = site.figures
        assert figures.backed and figures.rtl_images == 128 and figures.rtl_runs == 9 * 128
        assert figures.midpoints["software"].mu == pytest.approx(SITES[site.site][0], rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.7, 0.8, 1.25, 1.3])
def test_a_planted_shift_disagrees(shift: float) -> None:
    for seed in range(3):
        check = independent_check(*walk(SITES, shift={"fc0.acc": shift}, seed=seed), 0.1)
        assert [site.verdict for site in check.sites] == ["agree", "disagree"]
        assert check.verdict == "disagree"
        ratio = ratios(check)[1]
        assert ratio is not None and ratio[1] < shift * 1.03 and ratio[2] > shift * 0.97


@pytest.mark.slow
def test_fifteen_percent_disagrees_with_enough_images() -> None:
    """The shift that must be found: 15 %, at 10,000 images."""
    for seed, shift in enumerate((0.85, 1.15, 0.85, 1.15)):
        points, labels = walk({"a": (1.0, 2.0)}, shift={"a": shift}, images=10_000, seed=seed)
        assert independent_check(points, labels, 0.1).verdict == "disagree"


@pytest.mark.slow
def test_family_wise_error_of_whole_walks() -> None:
    """Nine sites of which each lies at the margin: the worst case, from images to words.

    A word is false at any of them. At most 5 % of walks hold one; of 20, more than 4 would come
    in 0.3 % of cases. Each site alone errs as often, so that nine without Holm would in 37 %.
    """
    sites = {f"site{number}": (1.0, 2.0) for number in range(9)}
    wrong = {"agree": 0, "disagree": 0}
    alone = []
    for seed in range(20):
        shift = {site: 1.1 if number % 2 else 0.9 for number, site in enumerate(sites)}
        points, labels = walk(sites, shift=shift, images=600, rtl=0, seed=seed)
        two = [p for p in points if p.side != "software-hwdraws"]
        check = independent_check(two, labels, 0.1, resamples=99)
        words = {site.judgement.verdict for site in check.sites}
        for word in wrong:
            wrong[word] += word in words
        alone += [site.judgement.p_disagree <= LEVEL for site in check.sites]
    assert max(wrong.values()) <= 4
    assert 0.02 < np.mean(alone) < 0.08


@pytest.mark.slow
def test_nine_equal_sites_agree_with_enough_images() -> None:
    sites = {f"site{number}": (1.0, 2.0) for number in range(9)}
    for seed in range(2):
        points, labels = walk(sites, images=4000, rtl=20, seed=seed)
        check = independent_check(points, labels, 0.1, resamples=199)
        assert check.verdict == "agree" and {s.verdict for s in check.sites} == {"agree"}


@pytest.mark.slow
def test_few_images_are_undecided() -> None:
    check = independent_check(*walk(SITES, images=100, rtl=20), 0.1)
    assert check.verdict == "undecided" and "neither shown" in check.sites[0].reason
    found = check.to_json()
    assert found["detectable"]["disagreement"] > found["detectable"]["difference"] > 0.1
    for site in found["sites"].values():
        assert site["detectable"]["difference"] <= found["detectable"]["difference"]
        assert site["need"]["images"] is None or site["need"]["images"] > 100


@pytest.mark.slow
def test_so_many_images_as_needed_decide() -> None:
    """What the report says would decide does, in most cases."""
    few = independent_check(*walk(SITES, images=250, rtl=20, seed=3), 0.1)
    needs = [s.to_json()["need"] for s in few.sites if s.verdict == "undecided"]
    assert needs and all(need["images"] > 250 for need in needs)
    images = max(need["images"] for need in needs)
    verdicts = [
        independent_check(*walk(SITES, images=images, rtl=20, seed=seed), 0.1).verdict
        for seed in range(4, 8)
    ]
    assert verdicts.count("agree") >= 3


@pytest.mark.slow
def test_common_draws_narrow_the_ratio() -> None:
    site = independent_check(*walk(SITES), 0.1).sites[0].to_json()
    assert site["ratio_crn"] == pytest.approx((1.0, 1.0, 1.0))
    assert site["ratio"][2] - site["ratio"][1] > 0.02


@pytest.mark.slow
def test_rtl_alone_is_compared_on_its_own_images() -> None:
    """The ratio of the simulation: wider, and from its images and no others."""
    points, labels = walk(SITES, rtl=300, shift={"fc0.acc": 1.3})
    check = independent_check(points, labels, 0.1)
    cut = [dataclasses.replace(p, predictions=p.predictions[:300]) for p in points]
    few = independent_check(cut, labels, 0.1)
    for site, small in zip(check.sites, few.sites, strict=True):
        entry = site.to_json()
        assert entry["ratio_rtl"] == pytest.approx(small.to_json()["ratio_golden"])
        wide, narrow = (np.log(r[2] / r[1]) for r in (entry["ratio_rtl"], entry["ratio"]))
        assert wide > 2 * narrow
    assert check.sites[1].to_json()["ratio_rtl"][0] == pytest.approx(1.3, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("common", "share"), [(0.0, 1.0), (0.8, 0.5)])
def test_share_of_noise_tells_draws_from_images(common: float, share: float) -> None:
    """Noise of its own in each draw is reduced by draws; what an image adds to a side is not.

    `common` is the part of a side's error that all draws of an image share.
    """
    rng = np.random.default_rng(5)
    points, labels = walk({"a": (1.0, 2.0)}, images=4000, rtl=1)
    levels = sorted({p.sigma for p in points if p.site})
    made = [p for p in points if not p.site and p.side in ("software", "golden")]
    draws = 4
    for side in ("software", "golden"):
        fixed = rng.standard_normal(4000)
        for draw in range(draws):
            error = np.sqrt(common) * fixed + np.sqrt(1 - common) * rng.standard_normal(4000)
            for sigma in levels:
                hit = error < 2 * np.log(1 / sigma)
                predictions = np.where(hit, labels, (labels + 1) % 10).astype(np.uint8)
                made.append(Point("a", "additive", sigma, draw, side, predictions))

    def pair(seeds: set[int]):
        some = [p for p in made if not p.site or p.seed in seeds]
        return tuple(curve_of(some, labels, "a", side) for side in (Side.GOLDEN, Side.SOFTWARE))

    whole = log_ratio(*pair({0, 1, 2, 3}), 0.1)
    assert whole is not None
    found = noise_share((pair({0, 2}), pair({1, 3})), whole, 0.1)
    assert found is not None
    if common:
        assert found < share
    else:
        assert found == pytest.approx(share, abs=0.12)


@pytest.mark.slow
def test_a_bit_mismatch_disagrees_and_takes_golden_off() -> None:
    points, labels = walk(SITES)
    at = next(i for i, p in enumerate(points) if p.side == "rtl" and p.site == "fc0.acc")
    points[at] = dataclasses.replace(points[at], bit_mismatches=2)
    good, bad = independent_check(points, labels, 0.1).sites
    assert (good.verdict, bad.verdict) == ("agree", "disagree")
    assert "RTL differs from golden on 2 images" in bad.reason
    entry = bad.to_json()
    assert entry["mu_hw"] is None and entry["ratio"] is None and entry["mu_golden"] is not None
    assert entry["k_hw"] is None and entry["k_golden"] is not None


@pytest.mark.slow
def test_labels_that_differ_are_mismatches_whatever_the_count_says() -> None:
    points, labels = walk(SITES)
    at = next(i for i, p in enumerate(points) if p.side == "rtl" and p.site == "conv0.acc")
    changed = points[at].predictions.copy()
    changed[7] ^= 1
    points[at] = dataclasses.replace(points[at], predictions=changed)
    site = independent_check(points, labels, 0.1).sites[0]
    assert site.verdict == "disagree" and site.figures.bit_mismatches == 1


@pytest.mark.slow
def test_a_mismatch_without_noise_concerns_every_site() -> None:
    points, labels = walk(SITES)
    at = next(i for i, p in enumerate(points) if p.side == "rtl" and not p.site)
    points[at] = dataclasses.replace(points[at], bit_mismatches=1)
    assert {s.verdict for s in independent_check(points, labels, 0.1).sites} == {"disagree"}


@pytest.mark.slow
def test_golden_alone_is_no_statement_on_hardware() -> None:
    points, labels = walk(SITES)
    without = [p for p in points if not (p.side == "rtl" and p.site == "fc0.acc")]
    check = independent_check(without, labels, 0.1)
    site = check.sites[1]
    assert check.verdict == site.verdict == "undecided" and not site.figures.backed
    assert site.to_json()["mu_hw"] is None and site.to_json()["mu_rtl"] is None
    unchecked = [dataclasses.replace(p, bit_mismatches=None) for p in points]
    check = independent_check(unchecked, labels, 0.1)
    assert check.verdict == "undecided" and "not compared" in check.sites[0].reason
    assert check.sites[0].to_json()["bit_mismatches"] is None and not check.sites[0].figures.backed


@pytest.mark.slow
def test_curves_that_never_fall_are_undecided() -> None:
    points, labels = walk({"a": (1e6, 3.0)}, levels=np.geomspace(0.1, 10, 9))
    site = independent_check(points, labels, 0.1).sites[0]
    assert site.verdict == "undecided" and site.to_json()["ratio_golden"] is None
    assert site.need is None and site.to_json()["mu_hw"] == (None, 10.0, None)


def test_only_one_side_falling_disagrees() -> None:
    points, labels = walk({"a": (1.0, 3.0)}, shift={"a": 1e4}, levels=np.geomspace(0.1, 10, 9))
    site = independent_check(points, labels, 0.1).sites[0]
    assert site.verdict == "disagree"
    assert site.figures.midpoints["golden"].bound == "above"


@pytest.mark.slow
def test_falls_between_levels_disagree_only_beyond_them() -> None:
    """A step is somewhere between two levels: apart by a level, or not known to differ."""
    levels = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    for shift, verdict in ((1.0, "undecided"), (3.0, "disagree")):
        points, labels = walk({"a": (1.4, 50.0)}, shift={"a": shift}, levels=levels)
        site = independent_check(points, labels, 0.1).sites[0]
        assert site.verdict == verdict and site.to_json()["ratio_golden"] is None
        assert "no ratio" in site.reason and site.detectable is None


def test_paired_difference_covers() -> None:
    """Agresti and Min's interval holds the true difference in about 95 %, down to 60 images."""
    rng = np.random.default_rng(0)
    for images, p_both, p_gain, p_loss in ((60, 0.6, 0.1, 0.05), (2000, 0.8, 0.02, 0.05)):
        cells = rng.choice(4, p=[p_both, p_gain, p_loss, 1 - p_both - p_gain - p_loss],
                           size=(2000, images))  # fmt: skip
        held = 0
        for row in cells:
            d, lo, hi = paired_difference((row == 0) | (row == 2), row <= 1)
            assert lo <= d <= hi
            held += lo <= p_gain - p_loss <= hi
        assert 0.935 <= held / 2000 <= 0.975


def test_paired_difference_is_agresti_and_mins() -> None:
    """Adding 1/2 to each cell, by hand: 7 gained, 2 lost, of 50; and means of draws."""
    software, golden = np.zeros(50, dtype=bool), np.zeros(50, dtype=bool)
    golden[:7] = True
    software[7:9] = True
    centre, half = 5 / 52, 1.959964 * np.sqrt(((9 + 1) / 52 - (5 / 52) ** 2) / 52)
    expected = (0.1, centre - half, centre + half)
    assert paired_difference(software, golden) == pytest.approx(expected)
    d, lo, hi = paired_difference(np.full(50, 0.5), np.full(50, 0.75))
    assert d == pytest.approx(0.25) and lo < 0.25 < hi


@pytest.mark.slow
def test_differences_of_golden_and_of_rtl_are_listed_by_level() -> None:
    points, labels = walk(SITES)
    entry = independent_check(points, labels, 0.1).sites[0].to_json()["differences"]
    for side, images in (("golden", 2000), ("rtl", 128)):
        found = entry[side]
        assert [d["sigma"] for d in found] == sorted(d["sigma"] for d in found)
        assert len(found) == 9
        for one in found:
            d, lo, hi = one["difference"]
            assert one["images"] == images and lo <= d <= hi
            assert d == pytest.approx(one[side] - one["software"])
            right = [
                p.correct(labels)[:images].mean()
                for p in points
                if (p.side, p.site, p.sigma) == ("software", "conv0.acc", one["sigma"])
            ]
            assert one["software"] == pytest.approx(right[0])  # on the side's own images


@pytest.mark.slow
def test_json_has_what_the_summary_needs() -> None:
    entry = json.loads(json.dumps(independent_check(*walk(SITES), 0.1).to_json(), allow_nan=False))
    assert entry["verdict"] == "agree" and entry["margin"] == 0.1
    site = entry["sites"]["conv0.acc"]
    for name in ("mu_sw", "mu_hw", "mu_rtl", "mu_crn", "ratio", "ratio_rtl", "ratio_crn"):
        assert len(site[name]) == 3 and site[name][1] <= site[name][0] <= site[name][2]
    assert site["rtl_images"] == 128 and site["bit_mismatches"] == 0
    assert site["need"] is None and 0 <= site["p_agree"] <= site["p_agree_holm"] <= LEVEL


def test_incomplete_walks_are_refused() -> None:
    points, labels = walk(SITES)
    with pytest.raises(ValueError, match="one kind"):
        independent_check([p for p in points if not p.site], labels, 0.1)
    with pytest.raises(ValueError, match="both need points"):
        independent_check([p for p in points if p.site or p.side != "golden"], labels, 0.1)
    mixed = Point("fc0.acc", "mixed", 1.0, 0, "golden", points[0].predictions)
    with pytest.raises(ValueError, match="one kind"):
        independent_check([*points, mixed], labels, 0.1)

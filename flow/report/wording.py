"""The results of a walk in words: sentences on its verdict, scope and power."""

import math
from collections.abc import Mapping
from typing import Any

from flow.noise.site import GLOBAL, JOINT, MAP
from flow.rtl.scope import FULL, SITE
from flow.statistics.verdict import LEVEL, MARGIN, MOST_TIMES, Design
from flow.walks.crosscheck.preliminary import NOT_JUDGED
from flow.walks.points.side import SHOWN, Side

IN_PART = ", from the site on"
"""Addition to the name of RTL if only a subgraph of the network was simulated."""


def definition(design: Design, margin: float = MARGIN, level: float = LEVEL) -> str:
    """Return the definition of the three verdicts (`flow.statistics.verdict`)."""
    m, alpha = f"± {margin * 100:g} %", f"{level * 100:g} %"
    of, also, claims = "software", "", "sites"
    if design == "common":
        of, claims = "software with the same random numbers", "sites and random numbers"
        also = (
            " The random numbers get a verdict by the same tests, over all sites together: μ of "
            "software with the hardware's random numbers against μ with torch's. The walk agrees "
            "if the sites and the random numbers do."
        )
    return (
        f"Agree: golden's μ is shown to lie within {m} of the μ of {of}; disagree: it is shown to "
        f"lie further away; undecided: neither is shown.{also} Among walks whose {claims} all lie "
        f"within {m}, at most {alpha} contain a wrong disagree. Among walks in which one lies "
        f"further away, at most {alpha} wrongly agree. A site also disagrees if the simulated RTL "
        "differs from golden in any bit, and stays undecided if no RTL image was compared there."
    )


def noise_title(summary: Mapping[str, Any]) -> str:
    """Return what noise a walk applied where, for titles."""
    joint = [name for name in JOINT if name in summary["sites"]]
    if joint == [MAP]:
        return "a noise map as a whole"
    alone = len(summary["sites"]) > len(joint)
    at = " and ".join(["at one site at a time"] * alone + ["at all sites at once"] * bool(joint))
    on_top = " on top of a noise map" if summary.get("noise_map") else ""
    return f"{summary['noise']} noise {at}{on_top}"


def placement_sentence(summary: Mapping[str, Any]) -> str:
    """Return the sentence on sites that are noisy together; empty if none are."""
    said, noises = [], summary.get("noise_map") or {}
    if GLOBAL in summary["sites"]:
        said.append(
            "The site global stands for noise at every accumulator at once, with independent "
            "samples; a level is each site's σ in the unit of the walk."
        )
    if MAP in summary["sites"]:
        said.append("The site map stands for the whole noise map; its level is a factor on all σ.")
    elif noises:
        said.append(
            "Every point has the noise of the map at all sites except the walked one; “no noise” "
            "stands for the noise of the map alone."
        )
    if converters := summary.get("converters"):
        text = ", ".join(f"{site} {bits}" for site, bits in converters.items())
        said.append(
            f"At every point, ADCs read the values of these sites (bits): {text}; “no noise” "
            "stands for the ADCs alone."
        )
    if noises:
        text = ", ".join(f"{site} {_noise_words(one)}" for site, one in noises.items())
        said.append(f"Noise of the map: {text}.")
    return " ".join(said)


def _noise_words(noise: Mapping[str, Any]) -> str:
    levels = {"σₐ": noise["sigma_add"], "σₘ": noise["sigma_mul"]}
    told = [f"{name} = {level:.4g}" for name, level in levels.items() if level]
    return " ".join([noise["kind"], *told])


def measure_sentence(summary: Mapping[str, Any]) -> str:
    """Return the sentence on what agreement, or a user's metric, is; empty for accuracy."""
    if summary["measure"] == "accuracy":
        return ""
    if metric := summary.get("metric"):
        return (
            f"{summary['measure']} is the mean over the images of the metric in {metric['file']}; "
            f"its floor is {summary['guessing']:g}."
        )
    source = "the network" if summary["made_by"] == "walk" else "golden"
    return (
        f"The images have no labels. Agreement is the share of images with the label that "
        f"{source} gives without noise; guessing reaches {100 * summary['guessing']:.2f} %, the "
        "share of the most frequent label."
    )


def guessing_sentence(summary: Mapping[str, Any]) -> str:
    """Return the sentence on a network that only guesses without noise; empty if none does."""
    of_sides = summary["clean"]
    # none in the first preliminary page
    clean = of_sides.get(Side.SOFTWARE.clean_key) or of_sides.get("software")
    if clean is None or clean[1] is None or clean[1] > summary["guessing"]:
        return ""
    low, high = clean[1:]
    return (
        f"Without noise, {summary['measure']} is between {100 * low:.1f} and {100 * high:.1f} %, "
        f"and guessing reaches {100 * summary['guessing']:.1f} %, so no site has a midpoint. Check "
        "that the weights are trained, the images scaled as in training, and the labels numbered "
        "as the network numbers them."
    )


def power_sentence(summary: Mapping[str, Any]) -> str:
    """Return the sentence on the smallest detectable difference; empty if it is unknown."""
    if summary["power"] is None:
        return ""
    found, often = summary["detectable"], f"{summary['power'] * 100:g} %"
    if found is None:
        return (
            "At least one site has no ratio of μ, so the whole walk has no smallest detectable "
            "difference; the table lists those of the other sites."
        )
    return (
        f"Power, corrected for all claims: with a probability of at least {often} at every site, "
        f"the walk detects a difference of {found['difference'] * 100:.1f} % between the μ of "
        "golden and of software, and its verdict is disagree at a difference of "
        f"{found['disagreement'] * 100:.1f} %."
    )


def further_sentence(summary: Mapping[str, Any]) -> str:
    """Return the sentence on further noise draws; empty if the summary lacks them."""
    spent = summary["further"]
    if spent is None:
        return ""
    if not spent["draws"]:
        return f"No further noise draws were made: {spent['ended']}."
    places = ", ".join(f"{draws} more at {site}" for site, draws in spent["draws"].items())
    seconds = summary["seconds"].get("further")
    took = "" if seconds is None else f" in {seconds:.0f} s of this run"
    return (
        f"Further noise draws per point, in software and golden, at undecided sites: "
        f"{places}{took}. The walk was analysed {spent['looks']} times, which its error rates "
        f"account for. The draws ended because {spent['ended']}."
    )


def scope_sentence(summary: Mapping[str, Any]) -> str:
    """Return the sentence on the scope of the RTL simulation."""
    if summary["rtl"]["scope"] == FULL:
        return "RTL scope: full, the whole network was simulated at every point."
    starts: dict[str, list[str]] = {}
    for site, entry in summary["sites"].items():
        starts.setdefault(entry["rtl_begins"], []).append(site)
    parts = "; ".join(f"{', '.join(sites)}: behind {begins}" for begins, sites in starts.items())
    return (
        "RTL scope: site, not the whole network. With noise, RTL was simulated only downstream of "
        f"the place named here, on golden's stream without noise ({parts}). Such a subgraph is "
        "folded again for speed, which changes no value. The whole network, folded as requested, "
        f"was simulated only without noise, on the same {summary['images']['rtl']:,} images, with "
        "the streams of all taps compared; an image that differs there counts at every site."
    )


def preliminary_sentence(summary: Mapping[str, Any]) -> str:
    """Return how far a walk is that has not ended, and in hardware which points it lacks."""
    done, planned = summary["progress"]["done"], summary["progress"]["planned"]
    if summary["made_by"] == "walk":
        counts = (f"{done[kind]} of {n} curves of {kind} noise" for kind, n in planned.items())
        return f"Preliminary: {', '.join(counts)} are final."
    if planned:
        share = math.floor(100 * sum(done.values()) / sum(planned.values()))
        counts = (f"{_name(side)} {done[side]:,} of {n:,}" for side, n in planned.items())
        stage = f"{share} % of the points ({', '.join(counts)})"
    else:
        images = summary["images"]["golden"]
        stage = "the walk searches for noise levels" + f", on {images:,} images" * bool(images)
    lacking = []
    for side in SHOWN:
        entries = summary["sites"].items()
        sites = [name for name, entry in entries if entry[f"mu_{side.short}"] is None]
        where = "" if len(sites) == len(entries) else f" at {', '.join(sites)}"
        lacking += [f"No {_name(side)} points yet{where}."] * bool(sites)
    return " ".join([f"Preliminary: {stage}.", *lacking, f"The walk is {NOT_JUDGED}."])


def _name(side: str) -> str:
    return "RTL" if side == Side.RTL else side


def verdict_sentence(summary: Mapping[str, Any]) -> str:
    """Return the walk's verdict and the result of the RTL comparison in one sentence."""
    if not summary["complete"]:
        return preliminary_sentence(summary)
    sites, verdict = summary["sites"], summary["verdict"]
    margin = summary["margin"] * 100
    if verdict == "agree":
        found = (
            f"at all {len(sites)} sites the midpoint noise level of the golden model lies within "
            f"± {margin:g} % of software's"
        )
        if summary["random_numbers"]:
            found += " with the same random numbers, these agree with torch's"
    else:
        named = [name for name, entry in sites.items() if entry["verdict"] == verdict]
        agree = sum(entry["verdict"] == "agree" for entry in sites.values())
        place = ", ".join(named)
        if verdict == "undecided":
            numbers = (summary["random_numbers"] or {}).get("verdict") == "undecided"
            open_ones = [*named, *["the hardware's random numbers"] * numbers]
            found = f"the data do not decide {', '.join(open_ones) or 'any site'}"
        elif named:
            found = f"the sides differ at {place}"
        else:
            found = _failed_check(summary)
        found += f"; {agree} of {len(sites)} sites agree"
    return f"{verdict.capitalize()}: {found}, and {bit_exact_check(summary)}."


def _failed_check(summary: Mapping[str, Any]) -> str:
    """Return why a walk disagrees none of whose sites does."""
    checks = summary["checks"]
    if checks["L0"]["mismatches"]:
        return "the golden model differs from FINN's own execution"
    if (checks.get("samples") or {}).get("failed"):
        return "the hardware's samples are not independent and standard normal"
    return "the hardware's random numbers move μ"


def random_numbers_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return the sentences on the hardware's random numbers; none for old results."""
    numbers, samples = summary["random_numbers"], summary["checks"].get("samples")
    said = []
    if numbers:
        said.append(f"Random numbers {numbers['verdict']}: {numbers['reason']}.")
        if need := need_sentence(numbers | {"draws": None}):
            said.append(need)
    if samples and samples["failed"]:
        said.append(f"The hardware's samples fail a check: {'; '.join(samples['failed'])}.")
    elif samples and samples["samples"]:
        said.append(
            f"{samples['samples']:,} samples of the hardware pass {len(samples['figures'])} tests "
            "for being independent and standard normal."
        )
    return said


def bit_exact_check(summary: Mapping[str, Any]) -> str:
    runs, images = summary["rtl"]["images"], summary["images"]["rtl"]
    wrong = summary["rtl"]["bit_mismatches"]
    if not runs:
        return "no RTL was simulated, so this says nothing about the hardware"
    places = f"({images:,} images, each at several points)"
    rtl = "simulated RTL"
    if summary["rtl"]["scope"] == SITE:
        rtl = "RTL, simulated with noise only from the noisy site on,"
    if wrong is None:
        return f"the {rtl} was not compared with golden on its {runs:,} runs {places}"
    if wrong:
        return f"the {rtl} differs from golden in {wrong:,} of {runs:,} runs {places}"
    bound = summary["rtl"].get("differing_runs_below")
    most = f", so that at most {bound_text(bound)} of such runs differ (95 %)" if bound else ""
    return f"the {rtl} equals golden bit for bit in all {runs:,} runs {places}{most}"


def bound_text(share: float) -> str:
    """Return an upper bound of a share, rounded up to two digits."""
    percent = 100 * share
    digits = max(0, 1 - math.floor(math.log10(percent)))
    return f"{math.ceil(percent * 10**digits) / 10**digits:.{digits}f} %"


def need_sentence(entry: Mapping[str, Any]) -> str:
    """Return the sentence on the samples that would decide a site; empty if it is decided."""
    need = entry["need"]
    if not need:
        return ""
    if need["images"] is None and need["draws"] is not None:
        return f"{need['draws']:,} draws or more are needed; images alone would not decide."
    if need["images"] is None:
        return (
            f"Even {MOST_TIMES:g} times the images would not decide: the estimate is at the margin."
        )
    alone = "; draws alone would not decide"
    if need["draws"] is not None:
        alone = f", or {need['draws']:,} draws of the same images"
    each = f" of {entry['draws']} draws" if entry["draws"] else ""
    return f"About {need['images']:,} images{each} would decide{alone}."

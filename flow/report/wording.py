"""What a walk found, in words: the names of its sides, and sentences on the verdict."""

from collections.abc import Mapping
from typing import Any

from flow.rtl.scope import FULL, SITE
from flow.statistics.verdict import LEVEL, MARGIN, MOST_TIMES

IN_PART = ", from the site on"
"""What follows the name of RTL where only a part of the network was simulated."""


def definition(margin: float = MARGIN, level: float = LEVEL) -> str:
    """Say what the three verdicts mean (`flow.statistics.verdict`)."""
    m, alpha = f"± {margin * 100:g} %", f"{level * 100:g} %"
    return (
        f"Agree: μ of golden is shown to lie within {m} of μ of software; disagree: it is shown to "
        f"lie beyond; undecided: neither. At most {alpha} of walks whose sites are all within {m} "
        f"are said to disagree anywhere, and at most {alpha} of walks with a site beyond it are "
        "said to agree. A site also disagrees if the simulated RTL differs from golden in any "
        "bit, and stays undecided if no RTL image was compared there."
    )


def power_sentence(summary: Mapping[str, Any]) -> str:
    """Say which difference the images would have shown; empty if the summary does not tell."""
    if "power" not in summary:
        return ""
    found, often = summary.get("detectable"), f"{summary['power'] * 100:g} %"
    if found is None:
        return (
            "Some site has no ratio of μ, so no smallest difference can be named for the walk; "
            "those of the other sites are in the table."
        )
    return (
        "What the walk would have shown, at a level that holds for all sites together: with a "
        f"chance of {often} or more, at every site, that the μ of golden and software differ if "
        f"they do by {found['difference'] * 100:.1f} %, and a verdict of disagree if they do by "
        f"{found['disagreement'] * 100:.1f} %."
    )


def further_sentence(summary: Mapping[str, Any]) -> str:
    """Say what was measured beyond the walk's first points; empty if the summary does not tell."""
    spent = summary.get("further")
    if spent is None:
        return ""
    if not spent["draws"]:
        return f"No further noise draws were made: {spent['ended']}."
    places = ", ".join(f"{draws} more at {site}" for site, draws in spent["draws"].items())
    seconds = summary["seconds"].get("further")
    took = "" if seconds is None else f" in {seconds:.0f} s of this run"
    return (
        f"Further noise draws of each point in software and golden, where the first look left it "
        f"undecided: {places}{took}; the walk was judged {spent['looks']} times, which its error "
        f"allows for. They ended because {spent['ended']}."
    )


def scope_sentence(summary: Mapping[str, Any]) -> str:
    """Say what of the network was simulated in RTL."""
    if summary["rtl"]["scope"] == FULL:
        return "RTL scope: full, the whole network was simulated at every point."
    starts: dict[str, list[str]] = {}
    for site, entry in summary["sites"].items():
        starts.setdefault(entry["rtl_begins"], []).append(site)
    parts = "; ".join(f"{', '.join(sites)}: behind {begins}" for begins, sites in starts.items())
    return (
        "RTL scope: site, not the whole network. With noise RTL was simulated only from the place "
        f"named here to the end, fed with golden's clean stream ({parts}), and such a part is "
        "folded anew for speed, which changes no value. The whole network, folded as asked, was "
        f"simulated without noise alone, on the same {summary['images']['rtl']:,} images, with "
        "the streams of all taps compared; an image that differs there counts at every site."
    )


def verdict_sentence(summary: Mapping[str, Any]) -> str:
    """Say in one sentence what the walk found, and what simulated RTL has to do with it."""
    sites, verdict = summary["sites"], summary["verdict"]
    margin = summary.get("margin", 0.1) * 100
    if verdict == "agree":
        found = (
            f"at all {len(sites)} sites the midpoint noise level of the golden model lies within "
            f"± {margin:g} % of software's"
        )
    else:
        named = [name for name, entry in sites.items() if entry["verdict"] == verdict]
        agree = sum(entry["verdict"] == "agree" for entry in sites.values())
        place = ", ".join(named)
        if verdict == "undecided":
            found = f"the data do not settle {place or 'any site'}"
        elif named:
            found = f"the sides differ at {place}"
        else:  # no site does, so it was L0
            found = "the golden model differs from FINN's own execution"
        found += f"; {agree} of {len(sites)} sites agree"
    return f"{verdict.capitalize()}: {found}, and {bit_exact_check(summary)}."


def bit_exact_check(summary: Mapping[str, Any]) -> str:
    runs, images = summary["rtl"]["images"], summary["images"]["rtl"]
    wrong = summary["rtl"]["bit_mismatches"]
    if not runs:
        return "no RTL was simulated, so this says nothing about the hardware"
    places = f"({images:,} images, each at several points)"
    rtl = "simulated RTL"
    if summary["rtl"]["scope"] == SITE:
        rtl = "RTL, simulated with noise from the noisy site on alone,"
    if wrong is None:
        return f"the {rtl} was not compared with golden on its {runs:,} runs {places}"
    if wrong:
        return f"the {rtl} differs from golden in {wrong:,} of {runs:,} runs {places}"
    return f"the {rtl} equals golden bit for bit in all {runs:,} runs {places}"


def need_sentence(entry: Mapping[str, Any]) -> str:
    """Say what would decide a site; empty where it is decided, or images would not do it."""
    need = entry.get("need")
    if not need:
        return ""
    if need["images"] is None and need["draws"] is not None:
        return f"{need['draws']:,} draws or more are needed; images alone would not decide."
    if need["images"] is None:
        return f"Not even {MOST_TIMES:g} times the images: the estimate lies at the margin."
    alone = "; draws alone would not decide"
    if need["draws"] is not None:
        alone = f", or {need['draws']:,} draws of the same images"
    return f"About {need['images']:,} images of {entry['draws']} draws would decide{alone}."

"""Tables of results on the command line."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from flow.data.reference import Measure
from flow.report.wording import (
    bound_text,
    further_sentence,
    guessing_sentence,
    measure_sentence,
    noise_title,
    placement_sentence,
    power_sentence,
    random_numbers_sentences,
    scope_sentence,
)
from flow.rtl.scope import SITE
from flow.statistics.estimate import Estimate
from flow.walks.crosscheck.summary_values import estimate_text, midpoint_text
from flow.walks.summaries import HardwareWalkSummary, SoftwareWalkSummary
from flow.walks.summaries.base import Bearing
from flow.walks.summaries.hardware import SiteAblation
from flow.walks.summaries.ranking import Ranked, breaks_first
from flow.walks.summaries.software import SoftwareSite

if TYPE_CHECKING:
    from flow.experiments.studies.study import Run

MOST_MISFIT = 0.1
"""Distance of a point from the curve beyond which a midpoint is in doubt: a share of all images."""


def print_summary(console: Console, summary: HardwareWalkSummary) -> None:
    """Print the results of a walk in software and RTL."""
    images = summary.images
    part = ", in part" if summary.rtl.scope == SITE else ""
    told = summary.model_dump(mode="json")
    table = Table(title=f"{summary.model} on {summary.dataset}, {noise_title(told)}")
    table.add_column("site")
    for column in (
        f"μ software (n={images['software']})",
        f"μ golden (n={images['golden']})",
        "golden / software" + ", same noise" * (summary.design == "common"),
        f"μ RTL{part} (n={images['rtl']})",
    ):
        table.add_column(column, justify="right")
    table.add_column("verdict", no_wrap=True)
    for site, entry in summary.sites.items():
        cells = [midpoint_text(mu) for mu in (entry.software, entry.midpoint, entry.rtl)]
        cells.insert(2, _ratio(entry.ratio))
        table.add_row(site, *cells, entry.verdict)
    console.print(table)
    _print_relative(console, summary.sites)
    if summary.ablation:
        print_ablation(console, summary.ablation)
    l0, rtl = summary.checks.golden, summary.rtl
    bound = rtl.differing_runs_below
    console.print(
        f"L0: golden = FINN on {l0.tensors} tensors of {l0.images} images, "
        f"mismatches: {l0.mismatches}; golden ≠ Brevitas on {len(l0.labels_differing)} of "
        f"{l0.labels_compared} labels",
        highlight=False,
    )
    console.print(
        f"L1: RTL = golden on {rtl.images} images, bit_mismatches: {rtl.bit_mismatches}"
        + (f" (95 %: below {bound_text(bound)})" if bound else ""),
        highlight=False,
    )
    for said in (
        *random_numbers_sentences(told),
        scope_sentence(told),
        placement_sentence(told),
        measure_sentence(told),
        guessing_sentence(told),
        power_sentence(told),
        further_sentence(told),
    ):
        if said:
            console.print(said, highlight=False)
    _print_answer(console, summary.ranking, summary.measure)
    console.print(f"verdict: {summary.verdict}", highlight=False)
    total = summary.seconds["total"]
    console.print(f"{total:.0f} s; report: {summary.report}", highlight=False, soft_wrap=True)


def print_ablation(console: Console, ablation: Mapping[str, SiteAblation]) -> None:
    """Print the steps from software to RTL at each site."""
    table = Table(title="from software to RTL, one step at a time")
    for name in ("site", "step", "μ before", "μ after", "after / before", "moved"):
        table.add_column(name, justify="right" if "/" in name or "μ" in name else "left")
    for site, entry in ablation.items():
        for step in entry.steps:
            mu = midpoint_text(step.mu_before), midpoint_text(step.mu_after)
            table.add_row(site, step.step, *mu, _ratio(step.ratio), "yes" if step.moved else "no")
    console.print(table)
    for site, entry in ablation.items():
        console.print(f"{site}: {entry.sentence}", highlight=False)


def _ratio(ratio: Estimate | None) -> str:
    return "–" if ratio is None else "{:.3f} [{:.3f}, {:.3f}]".format(*ratio)


def print_executions(console: Console, found: dict[str, Any]) -> None:
    """Print what each strategy for spending executions reaches."""
    means = sorted({row["mean"] for row in found["rows"]})
    table = Table(
        title=f"{found['model']} on {found['dataset']}: {found['measure']}, {found['noise']} noise "
        f"of σ = {found['sigma']:.3g}, n = {found['images']} × {found['draws']}"
    )
    table.add_column("mean executions")
    for mean in means:
        table.add_column(f"{mean:g}", justify="right")
    cells: dict[str, list[str]] = {}
    for row in found["rows"]:
        half = (row["hi"] - row["lo"]) / 2
        cells.setdefault(row["strategy"], []).append(f"{row[found['measure']]:.4f} ± {half:.4f}")
    for strategy, values in cells.items():
        table.add_row(strategy, *values)
    console.print(table)
    _print_recipe(console, found["recipe"], found["image_range"])
    console.print(f"pictures and tables: {found['folder']}", highlight=False, soft_wrap=True)


def _print_recipe(console: Console, recipe: str | None, bounds: Sequence[float] | None) -> None:
    """Print by which recipe a network was trained, if by one, and that its images are in 0..1."""
    if recipe:
        values = ": images in 0..1" if bounds is not None and bounds[0] == 0 else ""
        console.print(f"trained by the recipe {recipe}{values}", highlight=False)


def print_walk(console: Console, found: SoftwareWalkSummary) -> None:
    """Print the results of a software walk."""
    shares = (100 * part for part in found.clean["software"] if part is not None)
    clean = "{:.2f} % [{:.2f}, {:.2f}]".format(*shares)
    for kind, walked in found.kinds.items():
        table = Table(title=f"{found.model} on {found.dataset}, {kind} noise")
        for name in ("site", "μ", "method", "k", "misfit", "images", "draws", "levels", "ended"):
            table.add_column(name, justify="left" if name in ("site", "ended") else "right")
        for site, entry in walked.entries.items():
            k = "–" if entry.k_sw is None else f"{entry.k_sw:.2f}"
            misfit = "–" if entry.misfit is None else f"{100 * entry.misfit:.1f} %"
            counts = map(str, (entry.images, entry.draws, len(entry.levels)))
            method = entry.method or "–"
            table.add_row(
                site, midpoint_text(entry.midpoint), method, k, misfit, *counts, entry.ended
            )
        console.print(table)
        for said in uneven(walked.entries, bool(found.retrain)):
            console.print(said, highlight=False, markup=False)
        _print_relative(console, walked.entries)
        if walked.origin:
            said = f"{kind}: {walked.formula or 'no formula'} ({walked.origin['file']})"
            console.print(said, highlight=False, markup=False, soft_wrap=True)
        _print_answer(console, walked.ranking, found.measure)
    _print_recipe(console, found.recipe, found.image_range)
    told = found.model_dump()
    for said in (measure_sentence(told), guessing_sentence(told)):
        if said:
            console.print(said, highlight=False, soft_wrap=True)
    console.print(
        f"{found.measure} without noise {clean}, n={found.images['software']}; "
        f"{found.images_evaluated:,} noisy images, {found.seconds['total']:.0f} s; "
        f"results: {found.folder}",
        highlight=False,
        soft_wrap=True,
    )


def uneven(entries: Mapping[str, SoftwareSite], retrained: bool) -> Iterator[str]:
    """Yield a sentence on each site whose points lie far beside the curve that gives μ.

    Args:
        entries: the sites of a walk.
        retrained: whether each level has a network of its own.
    """
    why = ": networks of some levels may not have learned" if retrained else ""
    for site, entry in entries.items():
        if entry.misfit is not None and entry.misfit > MOST_MISFIT:
            yield (
                f"{site}: a measured point lies {100 * entry.misfit:.1f} points beside the curve"
                f"{why}. μ may be wrong by more than its interval."
            )


def _print_relative(console: Console, entries: Mapping[str, Bearing]) -> None:
    """Print the midpoints relative to the values of their sites."""
    known = {site: one for site, one in entries.items() if one.relative is not None}
    if not known:
        return
    table = Table(title="noise at the midpoint, relative to the site's own values")
    table.add_column("site")
    for name in ("std of the values", "noise / std", "SNR (dB)", "effective bits"):
        table.add_column(name, justify="right")
    for site, one in known.items():
        std = "–" if one.std is None else f"{one.std:.3g}"
        cells = (estimate_text(part) for part in (one.snr, one.effective_bits))
        table.add_row(site, std, midpoint_text(one.relative), *cells)
    console.print(table)


def _print_answer(console: Console, order: list[Ranked], measure: Measure) -> None:
    if said := breaks_first(order, measure):
        console.print(said, highlight=False, markup=False)


def print_repeats(console: Console, found: dict[str, Any]) -> None:
    """Print what repeated executions reach, and their cost in cycles."""
    images = found["images"]
    table = Table(title=f"{found['model']} on {found['dataset']}, {found['noise']} noise")
    for name in ("site", "σ", "executions", "cycles per image"):
        table.add_column(name, justify="left" if name == "site" else "right")
    table.add_column(f"{found['measure']} golden (n={images['golden']})", justify="right")
    table.add_column(f"{found['measure']} RTL (n={images['rtl']})", justify="right")
    for row in found["rows"]:
        table.add_row(
            row["site"],
            f"{row['sigma']:.3g}",
            str(row["executions"]),
            f"{row['cycles_per_image']:,}",
            *("{:.4f} [{:.4f}, {:.4f}]".format(*row[side]) for side in ("golden", "rtl")),
        )
    console.print(table)
    runs = sum(row["rtl_images"] for row in found["rows"])
    console.print(
        f"L1: RTL = golden on {runs} images, bit_mismatches: {found['bit_mismatches']}",
        highlight=False,
    )
    console.print(f"picture and table: {found['folder']}", highlight=False, soft_wrap=True)


def print_robustness(console: Console, found: dict[str, Any]) -> None:
    """Print μ of each checkpoint next to that of the clean one."""
    table = Table(title=f"{found['model']} on {found['dataset']}, {found['noise']} noise")
    table.add_column("site")
    table.add_column("trained with")
    for side in ("software", "golden, RTL-checked"):
        table.add_column(f"μ {side}", justify="right")
        table.add_column("to clean", justify="right")
    table.add_column("verdict")
    for row in found["rows"]:
        cells = (
            midpoint_text(row[key])
            for key in ("software", "software_ratio", "hardware", "hardware_ratio")
        )
        table.add_row(row["site"], row["training"], *cells, row["verdict"])
    console.print(table)
    for name, mismatches in found["bit_mismatches"].items():
        clean = "{:.2f} % [{:.2f}, {:.2f}]".format(*(100 * v for v in found["clean"][name]))
        console.print(
            f"{name}: {found['measure']} without noise {clean}, bit_mismatches: {mismatches}, "
            f"verdict: {found['verdicts'][name]}",
            highlight=False,
        )
    console.print(f"reports and table: {found['folder']}", highlight=False, soft_wrap=True)


def print_dynamics(console: Console, found: dict[str, Any]) -> None:
    """Print the effect of training with noise on the layers."""
    title = f"{found['model']} on {found['dataset']}, {found['epochs']} epochs"
    if found["recipe"]:
        title += f", recipe {found['recipe']}" + ", images in 0..1" * bool(found["image_range"])
    if found["seeds"] > 1:
        title += f"; medians of {found['seeds']} trainings"
    table = Table(title=title)
    for name in ("noise", "σ", "site", "mean |w|", "output std", "signal / noise", "binarisation"):
        table.add_column(name, justify="left" if name in ("noise", "site") else "right")
    names = ["weight_magnitude", "output_std", "signal_to_noise", "binarisation"]
    rows = pd.DataFrame(found["rows"])
    rows[names] = rows[names].astype(float)
    for (kind, sigma, site), values in (
        rows.groupby(["kind", "sigma", "site"], sort=False)[names].median().iterrows()
    ):
        cells = ("–" if value != value else f"{value:.3g}" for value in values)
        table.add_row(kind, f"{sigma:g}", site, *cells)
    console.print(table)
    console.print(f"pictures and tables: {found['folder']}", highlight=False, soft_wrap=True)


def print_bench_walk(console: Console, model: str, found: Any) -> None:
    """Print the speed of the software walk."""
    table = Table(title=f"{model}, {found.points} points of {found.images:,} images")
    for name in ("way", "seconds", "times faster"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for way, seconds in (
        (f"a full forward per point ({found.timed} points timed)", found.straightforward),
        ("the same points, ours", found.grid),
        (f"walk, searched levels ({found.searched_images:,} noisy images)", found.searched),
    ):
        table.add_row(way, f"{seconds:.1f}", f"{found.straightforward / seconds:.1f}")
    console.print(table)
    console.print(
        f"accuracies differ beyond 95 % of sampling error at {found.differing} of {found.timed} "
        f"points (5 % would by chance), by {100 * found.largest:.2f} % at most; widest interval of "
        f"μ: ± {100 * found.widest:.1f} %; memory {found.memory:.2f} GB",
        highlight=False,
        soft_wrap=True,
    )


def line_of_run(run: "Run") -> str:
    """Return how a run of a study ended, in one line."""
    state, summary = run.state, run.summary
    if summary is None:
        return f"{run.name}: {state.get('ended')}: {state.get('message', '')}"
    found = getattr(summary, "verdict", None)
    verdict = f", verdict {found}" if found else ""
    failures = f", {state['failures']} RTL points failed" if state.get("failures") else ""
    return f"{run.name}: done in {state['seconds']:.0f} s{verdict}{failures}"

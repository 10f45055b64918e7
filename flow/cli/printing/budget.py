"""Tables of the cheapest noise on the command line."""

from rich.console import Console
from rich.table import Table

from flow.experiments.budget.summary import BudgetSummary
from flow.report.budget_page import answers


def print_summary(console: Console, summary: BudgetSummary) -> None:
    """Print the plan, the other rules and two sentences."""
    table = Table(
        title=f"{summary.model} on {summary.dataset}: cheapest {summary.noise} noise, "
        f"{100 * summary.target:.3g} points lost"
    )
    table.add_column("site")
    for name in ("σ", "noise / std", "SNR, dB", "bits", "cost", "25 % more loses (predicted)"):
        table.add_column(name, justify="right")
    for name, site in summary.sites.items():
        low, high = (100 * float(end or 0.0) for end in site.margin.measured[1:])
        table.add_row(
            name,
            f"{site.sigma:.4g}",
            f"{site.noise_share:.3g}",
            f"{site.snr:.1f}",
            f"{site.effective_bits:.2f}",
            f"{100 * site.cost_share:.1f} %",
            f"{low:.2f} … {high:.2f} ({100 * site.margin.predicted:.2f})",
        )
    console.print(table)
    rules = Table(title="other rules at the same loss")
    rules.add_column("rule")
    rules.add_column(f"cost / plan, same {summary.measure}", justify="right")
    rules.add_column("same changed predictions", justify="right")
    for name, rule in summary.rules.items():
        both = (rule.ratio, rule.ratio_changed)
        rules.add_row(name, *("{:.3f} [{:.3f}, {:.3f}]".format(*one) for one in both))
    console.print(rules)
    if not summary.met:
        console.print(
            f"the interval of the loss in the search is not within {100 * summary.tolerance:.3g} "
            "points of the target: give more images",
            highlight=False,
        )
    console.print(
        f"{summary.seconds['total']:.0f} s; noise map: {summary.map}; report: {summary.report}",
        highlight=False,
        soft_wrap=True,
    )
    for sentence in answers(summary.model_dump(mode="json")):
        console.print(sentence, highlight=False)

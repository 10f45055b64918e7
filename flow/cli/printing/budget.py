"""Tables of the cheapest noise on the command line."""

from rich.console import Console
from rich.table import Table

from flow.experiments.budget.summary import BudgetSummary, Margin
from flow.report.budget_page import answers, more, searched


def print_summary(console: Console, summary: BudgetSummary) -> None:
    """Print the plan, the other rules and two sentences."""
    told = summary.model_dump(mode="json")
    table = Table(
        title=f"{summary.model} on {summary.dataset}: cheapest {searched(told)}, "
        f"{100 * summary.target:.3g} points lost"
    )
    table.add_column("site")
    numbers = {"adc": "ADC bits", "executions": "executions"}
    own = ["σ"] if summary.varies != ["adc"] else []
    own += [numbers[knob] for knob in summary.varies if knob in numbers]
    names = ("noise / std", "SNR, dB", "bits", "cost", f"{more(told)} loses (predicted)")
    for name in (*own, *names):
        table.add_column(name, justify="right")
    for name, site in summary.sites.items():
        values = {"σ": site.sigma, "ADC bits": site.bits, "executions": site.executions}
        table.add_row(
            name,
            *("–" if (value := values[one]) is None else f"{value:.4g}" for one in own),
            f"{site.noise_share:.3g}",
            f"{site.snr:.1f}",
            f"{site.effective_bits:.2f}",
            f"{100 * site.cost_share:.1f} %",
            _margin(site.margin),
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
    for sentence in answers(told):
        console.print(sentence, highlight=False)


def _margin(margin: Margin | None) -> str:
    """Return the interval of a margin, and what was predicted."""
    if margin is None:
        return "–"
    low, high = (100 * float(end or 0.0) for end in margin.measured[1:])
    return f"{low:.2f} … {high:.2f} ({100 * margin.predicted:.2f})"

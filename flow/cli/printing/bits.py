"""Tables of a walk of ADC bits on the command line."""

from rich.console import Console
from rich.table import Table

from flow.report.bits_page import sentences
from flow.walks.summaries import BitsWalkSummary


def print_bits(console: Console, summary: BitsWalkSummary) -> None:
    """Print the accuracy over bits of each site, and the fewest bits that suffice."""
    hardware = summary.verdict is not None
    side = "golden" if hardware else "software"
    table = Table(
        title=f"{summary.model} on {summary.dataset}, bits of an ADC at one site at a time: "
        f"{summary.measure} of {side}, % (n={summary.images[side]})"
    )
    table.add_column("site")
    for bits in dict.fromkeys(p.bits for entry in summary.sites.values() for p in entry.points):
        table.add_column(str(bits), justify="right")
    for name in ("fewest, software", *(("fewest, golden", "verdict") if hardware else ())):
        table.add_column(name, no_wrap=True)
    for site, entry in summary.sites.items():
        values = [getattr(point, side).value for point in entry.points]
        fewest = [str(one) for one in entry.fewest.values()]
        told = [*fewest, str(entry.verdict)] if hardware else fewest
        table.add_row(site, *(f"{100 * value:.1f}" for value in values), *told)
    console.print(table)
    for said in sentences(summary):
        console.print(said, highlight=False)
    for site, entry in summary.sites.items():
        if entry.verdict not in (None, "agree"):
            console.print(f"{site}: {entry.reason}", highlight=False)
    if summary.golden is not None and summary.rtl is not None:
        console.print(
            f"L0: golden = FINN, mismatches: {summary.golden.mismatches}; L1: RTL = golden on "
            f"{summary.rtl.images} images, bit_mismatches: {summary.rtl.bit_mismatches}",
            highlight=False,
        )
        console.print(f"verdict: {summary.verdict}", highlight=False)
    total = summary.seconds["total"]
    console.print(f"{total:.0f} s; report: {summary.report}", highlight=False, soft_wrap=True)

"""Report of a walk of ADC bits: one page with its picture and tables."""

import base64
from pathlib import Path

from flow.files import replacing
from flow.noise.site import GLOBAL
from flow.report.html import environment
from flow.report.plots import bits
from flow.walks.summaries import BitsWalkSummary


def write(folder: Path, summary: BitsWalkSummary) -> Path:
    """Write ``curves.png`` and ``report.html`` into the folder of a walk.

    Returns:
        The path of the page.

    Raises:
        UserError: a file cannot be written.
    """
    picture, page = folder / "curves.png", folder / "report.html"
    bits.write(picture, summary)
    text = environment().get_template("bits.html.j2").render(
        s=summary,
        sentences=sentences(summary),
        points=points_text(summary.loss),
        image=base64.b64encode(picture.read_bytes()).decode(),
    )  # fmt: skip
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def points_text(loss: float) -> str:
    """Return points of accuracy in words, such as ``1 point``."""
    return f"{loss:g} point" if loss == 1 else f"{loss:g} points"


def sentences(summary: BitsWalkSummary) -> list[str]:
    """Return what the walk did and how it was judged, in words."""
    share = (
        f"the {summary.percentile:g}th percentile" if summary.percentile < 100 else "the largest"
    )
    said = [
        f"An ADC read every value of one site at a time. Its range is {share} of the site's "
        "absolute values on the calibration images.",
        f"The fewest bits are the smallest number with which, and with every larger number, the "
        f"{summary.measure} is at most {points_text(summary.loss)} below that without the ADC.",
    ]
    if GLOBAL in summary.sites:
        said.append("The site global stands for equal ADCs at every accumulator at once.")
    if summary.converters:
        others = ", ".join(f"{site} {bits}" for site, bits in summary.converters.items())
        said.append(f"ADCs at every point (bits): {others}.")
    if summary.noise_map:
        said.append(f"Every point has the noise of a map, at {', '.join(summary.noise_map)}.")
    if summary.verdict is not None:
        near = points_text(summary.loss)
        said.append(
            f"Agree: golden's {summary.measure} is shown to lie within ± {near} of software's at "
            "each number of bits; disagree: it is shown to lie further away at one of them, or RTL "
            "differs from golden in any bit; undecided: neither is shown."
        )
    return said

"""Figures: a title fits into its picture."""

import pytest

from flow.report.plots.figure import Figure


@pytest.mark.parametrize("inches", [3.0, 7.2])
def test_a_long_title_stays_within_the_picture(inches):
    figure = Figure((inches, 3), layout="constrained")
    figure.subplots()
    long = (
        "float-lenet5-bn (recipe paper) (trained for each point, 5 epochs) on mnist, images in 0..1"
    )
    title = figure.suptitle(f"{long}\nsecond line", fontsize=11)
    figure.draw_without_rendering()
    box = title.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    assert title.get_text().splitlines()[-1] == "second line"

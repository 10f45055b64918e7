"""The table of resources: words that choose its rows, and taps that fit on no FPGA."""

import pytest

from flow.experiments.benchmarks import resources
from flow.rtl import ecp5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("taps ecp5 addtive", "unknown row of taps 'addtive': did you mean additive?"),
        (
            "kernels ecp5 lut_mvv",
            "unknown row of kernels 'lut_mvv': did you mean lut_vvu or lut_mvu?",
        ),
        ("taps ecp5 3@10", "3@10: lanes must divide 64 channels"),
        ("taps ecp5 1@0", "1@0: lanes must divide 64 channels, and clocks be 1 or more"),
        ("taps xcup --place", "--place is of ecp5: leave it out"),
        ("tables ecp5", "invalid choice: 'tables'"),
    ],
)
def test_words_that_choose_no_row_are_refused(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        resources.main(words.split())
    told = capsys.readouterr()
    assert stopped.value.code == 2 and message in told.err and not told.out


def test_help_measures_nothing(capsys):
    with pytest.raises(SystemExit) as stopped:
        resources.main(["--help"])
    assert stopped.value.code == 0 and "1@10" in capsys.readouterr().out


def test_a_table_has_the_chosen_rows_and_equal_taps_are_measured_once(monkeypatch, capsys):
    measured = []

    def measure(design, place):
        measured.append(design.parameters)
        cells = ecp5.Cells(90_000, 90_000, 1, 157, 0)
        return ecp5.Placed(cells, None, " and ".join(ecp5.CAPACITIES["85k"].lacking(cells)))

    monkeypatch.setattr(ecp5, "measure", measure)
    resources.main(["taps", "ecp5", "--place", "8@2", "additive", "8@3"])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[:4] for row in rows] == [
        ["| 8", clocks, "additive", "unrolled"] for clocks in "23"
    ]
    reason = "90,000 LUTs of 83,640 (6,360 too many) and 157 multipliers of 156 (1 too many)"
    assert all(reason in row for row in rows)
    assert [(one["PE"], one["CORES"]) for one in measured] == [(8, 0)]

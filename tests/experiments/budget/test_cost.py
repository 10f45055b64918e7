"""Costs of noise: the default, the user's file, and what is wrong with it."""

import numpy as np
import pytest

from flow.errors import UserError
from flow.experiments.budget import cost

OPERATIONS = {"fc0.acc": 1000.0, "fc1.acc": 10.0}


def written(folder, text: str, table: str = ""):
    path = folder / "cost.yaml"
    path.write_text(text, encoding="utf-8")
    (folder / "table.csv").write_text(table, encoding="utf-8")
    return path


def test_the_default_is_multiplications_by_power_of_the_signal():
    found = cost.read(None, OPERATIONS)
    x = np.array([[0.1, 0.5], [0.2, 0.5]])
    assert found.total(np.log(x)) == pytest.approx([1000 / 0.01 + 40, 1000 / 0.04 + 40])
    assert found.unit == ""


def test_a_file_sets_weights_exponents_energies_and_tables(tmp_path):
    text = "{unit: pJ, exponent: 1, energy: 0.5, sites: {fc0.acc: 8, fc1.acc: {table: table.csv}}}"
    found = cost.read(written(tmp_path, text, "snr,cost\n0,1\n20,100\n40,1000\n"), OPERATIONS)
    assert found.unit == "pJ"
    at = np.log([0.1, 0.1])
    assert np.exp(found.log_shares(at)) == pytest.approx([0.5 * 8 / 0.1, 0.5 * 100])
    assert found.bounds[0] == pytest.approx([-np.inf, np.log(0.01)])
    assert found.bounds[1] == pytest.approx([np.inf, 0])
    # the slopes are those of the cost
    more = (found.log_shares(at + 1e-6) - found.log_shares(at - 1e-6)) / 2e-6
    assert found.slopes(at) == pytest.approx(more, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "table", "said"),
    [
        ("sites: {fc0.acc: -1, fc1.acc: 1}", "", "site fc0.acc: weight is -1"),
        ("sites: {fc0.acc: 1}", "", "site fc1.acc has no cost: give its weight"),
        ("sites: {fc0.acc: 1, fc1.acc: 1, fc9.acc: 1}", "", "unknown site 'fc9.acc'"),
        ("exponent: 0", "", "exponent is 0"),
        ("price: 1", "", "price is no option"),
        ("[1, 2]", "", "it is no mapping"),
        ("sites: 3", "", "sites is no mapping"),
        ("a: b: c", "", "is not YAML"),
        ("sites: {fc0.acc: 1, fc1.acc: {table: no.csv}}", "", "no table of costs"),
        ("sites: {fc0.acc: 1, fc1.acc: {table: table.csv}}", "a,b\n1,2\n", "columns snr and cost"),
        ("sites: {fc0.acc: 1, fc1.acc: {table: table.csv}}", "snr,cost\n0,2\n9,1\n", "that rise"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, table, said, tmp_path):
    with pytest.raises(UserError, match=said) as error:
        cost.read(written(tmp_path, text, table), OPERATIONS)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.yaml"):
        cost.read(tmp_path / "none.yaml", OPERATIONS)

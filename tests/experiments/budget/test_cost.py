"""Costs of noise: the default, the user's file, and what is wrong with it."""

import numpy as np
import pytest

from flow.errors import UserError
from flow.experiments.budget import cost
from flow.experiments.budget.knobs import ADC, EXECUTIONS, SIGMA
from flow.experiments.budget.sources import Source

SITES = ("fc0.acc", "fc1.acc")
SIGMAS = [Source(site, SIGMA, site) for site in SITES]
OPERATIONS = (1000.0, 10.0)


def written(folder, text: str, table: str = ""):
    path = folder / "cost.yaml"
    path.write_text(text, encoding="utf-8")
    (folder / "table.csv").write_text(table, encoding="utf-8")
    return path


def test_the_default_is_multiplications_by_power_of_the_signal():
    found = cost.read(None, SIGMAS, OPERATIONS)
    x = np.array([[0.1, 0.5], [0.2, 0.5]])
    assert found.total(np.log(x)) == pytest.approx([1000 / 0.01 + 40, 1000 / 0.04 + 40])
    assert found.unit == ""


def test_a_file_sets_weights_exponents_energies_and_tables(tmp_path):
    text = "{unit: pJ, exponent: 1, energy: 0.5, sites: {fc0.acc: 8, fc1.acc: {table: table.csv}}}"
    found = cost.read(
        written(tmp_path, text, "snr,cost\n0,1\n20,100\n40,1000\n"), SIGMAS, OPERATIONS
    )
    assert found.unit == "pJ"
    at = np.log([0.1, 0.1])
    assert np.exp(found.log_shares(at)) == pytest.approx([0.5 * 8 / 0.1, 0.5 * 100])
    assert found.bounds[0] == pytest.approx([-np.inf, np.log(0.01)])
    assert found.bounds[1] == pytest.approx([np.inf, 0])
    # the slopes are those of the cost
    more = (found.log_shares(at + 1e-6) - found.log_shares(at - 1e-6)) / 2e-6
    assert found.slopes(at) == pytest.approx(more, rel=1e-4)


def test_defaults_of_bits_and_executions_are_conversions_and_cycles():
    adc, repeated = Source("a", ADC, "a", -0.7), Source("b", EXECUTIONS, "b", 0.4)
    found = cost.read(None, [adc, repeated], [10.0, 300.0])
    at = np.array([adc.log_noise(5), repeated.log_noise(7)])
    assert np.exp(found.log_shares(at)) == pytest.approx([10 * 2**5, 300 * 7])


def test_sections_of_a_file_are_of_bits_and_executions(tmp_path):
    adc, more = Source("a", ADC, "a", -0.7), Source("b", ADC, "b", 0.1)
    text = "adc: {exponent: 2, energy: 3, sites: {a: 5, b: {table: table.csv}}}"
    found = cost.read(written(tmp_path, text, "bits,cost\n2,1\n4,10\n8,11\n"), [adc, more], [1, 1])
    at = np.array([adc.log_noise(6), more.log_noise(4)])
    assert np.exp(found.log_shares(at)) == pytest.approx([3 * 5 * 4**6, 3 * 10])
    # a table tells which bits there are
    assert found.bounds[0][1] == pytest.approx(float(more.log_noise(8)))
    repeated = Source("b", EXECUTIONS, "b", 0.4)
    found = cost.read(written(tmp_path, "executions: {exponent: 0.5}"), [repeated], [9.0])
    assert found.total(repeated.log_noise([16])) == pytest.approx(9 * 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exponent: 2", "exponent belongs to σ, which does not vary: write it under adc"),
        ("sites: {fc0.acc: 1}", "sites belongs to σ, which does not vary"),
        ("adc: 2", "adc is no mapping"),
        ("adc: {exponent: -1}", "adc: exponent is -1"),
        ("adc: {sites: {fc0.acc: 1}}", "adc: site fc1.acc has no cost"),
        ("adc: {unit: pJ}", "adc: unit is no option"),
        ("adc: {sites: {fc0.acc: {table: table.csv}, fc1.acc: 1}}", "columns bits and cost"),
    ],
)
def test_what_is_wrong_in_a_section_is_said_in_one_line(text, said, tmp_path):
    sources = [Source(site, ADC, site) for site in SITES]
    with pytest.raises(UserError, match=said) as error:
        cost.read(written(tmp_path, text, "snr,cost\n1,2\n"), sources, OPERATIONS)
    assert "\n" not in str(error.value)


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
        cost.read(written(tmp_path, text, table), SIGMAS, OPERATIONS)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.yaml"):
        cost.read(tmp_path / "none.yaml", SIGMAS, OPERATIONS)

"""Clean and noise-trained checkpoints side by side."""

import pytest

from flow.errors import UserError
from flow.experiments.settings import RobustnessSettings
from flow.experiments.studies import robustness


def entry(software, hardware, verdict="agree"):
    return {"mu_sw": software, "mu_hw": hardware, "verdict": verdict}


def test_ratios_to_the_clean_network():
    bound = {"bound": "above", "level": 9.0}
    summaries = {
        "clean": {"sites": {"a": entry([2.0, 1.9, 2.1], [2.0, 1.9, 2.1]), "b": entry(bound, None)}},
        "additive": {"sites": {"a": entry([6.0, 5.5, 6.5], [5.0, 4.0, 6.0]),
                               "b": entry([1.0, 0.9, 1.1], None)}},
    }  # fmt: skip
    rows = robustness.compare(summaries).to_dict("records")
    assert [(row["site"], row["training"]) for row in rows] == [
        ("a", "clean"), ("a", "additive"), ("b", "clean"), ("b", "additive"),
    ]  # fmt: skip
    plain, trained, _, other = rows
    assert plain["software_ratio"] is None
    middle, low, high = trained["software_ratio"]
    assert middle == pytest.approx(3.0) and 2.6 < low < 2.8 and 3.2 < high < 3.4
    assert trained["hardware_ratio"][0] == pytest.approx(2.5)
    # a bound has no ratio, and without RTL there is no hardware figure
    assert other["software_ratio"] is None and other["hardware_ratio"] is None


def test_checkpoints_of_a_network():
    assert robustness.trainings("tfc", "fashion-mnist") == ["clean", "additive"]
    found = robustness.trainings("cnv", "fashion-mnist")
    assert found == ["clean", "additive", "multiplicative"]
    with pytest.raises(UserError, match="one trained with noise"):
        robustness.trainings("lenet5-w4a4", "cifar10")
    with pytest.raises(UserError, match=r"training_noise is no option here: .* name none"):
        RobustnessSettings(training_noise="additive")

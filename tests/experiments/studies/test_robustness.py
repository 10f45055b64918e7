"""Clean and noise-trained checkpoints side by side."""

from types import SimpleNamespace

import pytest

from flow.errors import UserError
from flow.experiments.settings import RobustnessSettings
from flow.experiments.studies import robustness
from flow.statistics.estimate import Estimate


def walked(**sites):
    """Stand in for the summary of a walk; of each site: μ in software, and in hardware."""
    entries = {
        site: SimpleNamespace(software=software, midpoint=hardware, verdict="agree")
        for site, (software, hardware) in sites.items()
    }
    return SimpleNamespace(sites=entries)


def test_ratios_to_the_clean_network():
    clean = Estimate(2.0, 1.9, 2.1)
    summaries = {
        "clean": walked(a=(clean, clean), b=(Estimate(None, 9.0, None), None)),
        "additive": walked(
            a=(Estimate(6.0, 5.5, 6.5), Estimate(5.0, 4.0, 6.0)), b=(Estimate(1.0, 0.9, 1.1), None)
        ),
    }
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

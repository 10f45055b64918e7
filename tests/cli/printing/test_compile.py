"""``noisewalk compile``: what it says is what the accelerator is, and the walk's is the same."""

import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from flow.cli import main
from flow.cli.printing import compile
from flow.compiler.accelerator import Accelerator
from flow.errors import UserError
from flow.walks.settings import HardwareWalkSettings


@pytest.fixture
def settings(network, built) -> HardwareWalkSettings:
    """The accelerator of the other tests."""
    return HardwareWalkSettings(
        model="tfc-w2a2", dataset="digits", sites=network.all_sites, cycles=256, build=built
    )


def silent(stage: str, done: int, total: int) -> None:
    pass


def test_it_is_the_accelerator_of_the_walk(settings, accelerator, network):
    found = compile.run(settings, silent)
    assert found["folder"] == str(accelerator.folder)
    assert found["cycles_per_image"] == accelerator.manifest["cycles_per_image"] == 256
    nodes = [{k: v for k, v in node.items() if k != "sites"} for node in found["nodes"]]
    assert nodes == accelerator.manifest["nodes"]
    placed = {site: node["name"] for node in found["nodes"] for site in node["sites"]}
    assert placed.keys() == set(network.all_sites)
    for name, site in (accelerator.sites | accelerator.weights).items():
        assert placed[name] == site.node
    assert f"module {found['top'].rpartition('/')[2].partition('.')[0]} " in (
        accelerator.sources[-1].read_text()
    )
    console = Console(width=200, record=True)
    compile.show(console, found)
    said = console.export_text()
    lines = {words[0]: words[1:] for line in said.splitlines() if (words := line.split())}
    for node in found["nodes"]:
        shown = lines[node["name"]]
        assert {node["input_type"], node["output_type"], f"{node['cycles']}"} <= set(shown)
        assert ", ".join(node["sites"]) in " ".join(shown)
    assert lines["MVAU_rtl_1"][:3] == ["1", "16", "256"]
    assert found["rtl"] in said.replace("\n", "")


def test_the_command_prints_json(settings, accelerator, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").symlink_to(settings.build)
    arguments = ["compile", "--model", "tfc", "--dataset", "digits", "--cycles", "256", "--json"]
    done = CliRunner().invoke(main.cli, [*arguments, "--sites", ",".join(settings.sites)])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert Accelerator.open(tmp_path / found["folder"]).manifest == accelerator.manifest


def test_bad_input():
    with pytest.raises(UserError, match="cycles and fps exclude each other"):
        HardwareWalkSettings(model="tfc-w2a2", dataset="digits", cycles=256, fps=1.0)
    with pytest.raises(UserError, match="did you mean lut"):
        HardwareWalkSettings(model="tfc-w2a2", dataset="digits", mvu="luts")

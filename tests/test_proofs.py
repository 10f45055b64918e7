"""Proofs of the hardware modules: what they claim can fail, and the command says so.

`make formal` proves every module; here is the smallest.
"""

from collections import defaultdict
from dataclasses import replace

import pytest
from click.testing import CliRunner

from flow.cli.main import cli
from flow.errors import UserError
from flow.paths import HW
from flow.proofs import modules, run
from flow.proofs.proof import Fault
from flow.proofs.settings import ProofSettings
from flow.soc.registers import description

PROVED = "stream_register"


def quiet(*_: object, **__: object) -> None:
    """Take progress."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, str]:
    """The text of every file that proofs read."""
    folder = tmp_path_factory.mktemp("registers")
    generated = {path.name: path for path in description.write_verilog(folder, 1, 1, 10)}
    names = {name for proof in modules.PROOFS for name in proof.sources}
    return {name: generated.get(name, HW / name).read_text() for name in names}


def test_every_property_has_a_fault_that_must_break_it():
    claimed, broken = defaultdict(set), defaultdict(set)
    for proof in modules.PROOFS:
        claimed[proof.top] |= set(proof.properties)
        for fault in proof.faults:
            broken[proof.top] |= set(fault.breaks)
    assert claimed == broken


@pytest.mark.parametrize("proof", modules.PROOFS, ids=lambda proof: proof.title)
def test_faults_change_one_place(proof, sources):
    for fault in proof.faults:
        text = sources[fault.source or proof.sources[-1]]
        assert text.count(fault.text) == 1, fault.text
        assert fault.planted != fault.text


def test_every_wrapper_belongs_to_a_proof():
    wrappers = {path.stem for path in (HW / "formal").glob("*_proof.sv")}
    assert wrappers == {proof.top for proof in modules.PROOFS}


@pytest.mark.slow
def test_a_module_is_proved(yosys):
    found = run.run(ProofSettings(modules=PROVED, jobs=1), quiet)
    (proof,) = (one for one in modules.PROOFS if one.name == PROVED)
    assert [row["property"] for row in found["rows"]] == list(proof.properties)
    assert found["ok"] and {row["result"] for row in found["rows"]} == {"proved"}


@pytest.mark.slow
def test_a_planted_fault_is_found_and_a_harmless_change_is_none(yosys, monkeypatch):
    (proof,) = (one for one in modules.PROOFS if one.name == PROVED)
    harmless = Fault("Beats are padded", "Beats were padded", ("order",))
    changed = replace(proof, faults=(proof.faults[0], harmless))
    monkeypatch.setattr(run, "PROOFS", (changed,))
    found = run.run(ProofSettings(faults=True, jobs=1), quiet)
    assert [row["ok"] for row in found["rows"]] == [True] * len(proof.faults[0].breaks) + [False]
    assert not found["ok"] and "missed" in found["rows"][-1]["result"]


def test_a_missing_solver_is_named(monkeypatch):
    monkeypatch.setattr(run, "TOOLS", ("no-such-solver",))
    with pytest.raises(UserError, match=r"yowasp-no-such-solver.*not installed.*pip install"):
        run.run(ProofSettings(), quiet)


def test_an_unknown_module_is_named():
    with pytest.raises(UserError, match="strem_fifo"):
        run.run(ProofSettings(modules="strem_fifo"), quiet)


def test_the_status_tells_what_is_not_proved(monkeypatch):
    row = {"module": "pool", "property": "order", "result": "fails", "ok": False, "seconds": 1.0}
    for ok in (True, False):
        rows = [row | {"ok": ok}]
        monkeypatch.setattr(run, "run", lambda *_: {"rows": rows, "ok": ok, "seconds": 1.0})  # noqa: B023
        assert CliRunner().invoke(cli, ["formal"]).exit_code == (0 if ok else 1)

"""Every module of ``hw/`` by itself: Verilator's lint, verible's style, and open synthesis."""

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from sim import toolchain
from sim.recipe import LENIENT
from sim.runner import REPOSITORY

HW = REPOSITORY / "hw"
PROOFS = sorted((HW / "formal").glob("*.sv"))
MODULES = sorted(
    path for path in HW.rglob("*.sv") if not path.stem.endswith("_pkg") and path not in PROOFS
)
PACKAGES = sorted(HW.rglob("*_pkg.sv"))
VERIBLE = ",".join(
    (
        # derived and drop-in names follow the style page and FINN, not verible's pattern
        "-parameter-name-style",
        # bit and int parameters have a type; strings would be the only ones without
        "-explicit-parameter-storage-type",
        # locals of a clocked block are computed before they are stored
        "always-ff-non-blocking=waive_for_locals:true",
    )
)
FROM_FINN = {"add_multi": "mvu/mvu_pkg.sv"}
SYSTEM = (HW / "soc", HW / "boards")
# ports as flow/compiler/templates/accelerator.sv.j2 gives them, for one tap
ACCELERATOR = """
module accelerator #(bit PIPELINE = 1'b0) (
    input  logic ap_clk, ap_rst_n, in0_V_TVALID, out0_V_TREADY, cfg_valid,
    output logic in0_V_TREADY, out0_V_TVALID, cfg_pending, cfg_late,
    output logic digest_valid, scores_valid,
    input  logic [7:0] in0_V_TDATA, cfg_site,
    input  logic [3:0] cfg_addr,
    input  logic [31:0] cfg_data,
    output logic [7:0] out0_V_TDATA,
    output logic [0:0][31:0] digest,
    output logic [31:0] scores_data
);
  always_ff @(posedge ap_clk) begin
    in0_V_TREADY <= out0_V_TREADY ^ PIPELINE;
    {out0_V_TVALID, out0_V_TDATA} <= {in0_V_TVALID && ap_rst_n, in0_V_TDATA};
    {cfg_pending, cfg_late, digest_valid, scores_valid} <= {4{cfg_valid}};
    {digest, scores_data} <= {2{cfg_data ^ 32'({cfg_site, cfg_addr})}};
  end
endmodule
"""


@cache
def around_the_system() -> list[Path]:
    """What the system's modules need beside them: the register file, the core, an accelerator."""
    from flow.soc import system
    from flow.soc.registers import description

    folder = Path(tempfile.mkdtemp(prefix="lint-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    accelerator = folder / "accelerator.sv"
    accelerator.write_text(ACCELERATOR)
    return [*description.write_verilog(folder, 1, 1, 10), system.core_source(), accelerator]


def sources(module: Path) -> list[Path]:
    if module.parent in SYSTEM:
        return [*around_the_system(), *(path for path in MODULES if path.parent in SYSTEM)]
    if module.stem in FROM_FINN:
        from finn.util.settings import get_settings, initialize_dummy_settings

        initialize_dummy_settings()
        return [Path(get_settings().finn_rtllib) / FROM_FINN[module.stem], module]
    others = (m for m in MODULES if m.stem not in FROM_FINN and m.parent not in SYSTEM)
    return [*PACKAGES, *others]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_verilator_finds_nothing(module):
    command, environment = toolchain.verilator(), toolchain.environment()
    arguments = ["--lint-only", "-Wall", "-Wno-fatal", "--assert", "--no-timing"]
    arguments += ["--top-module", module.stem]
    found = subprocess.run(
        [*command, *arguments, str(HW / "waivers.vlt"), *map(str, sources(module))],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    # a drop-in needs FINN's package beside it, whose style is FINN's
    messages = [line for line in found.stderr.splitlines() if line.startswith("%")]
    ours = [line for line in messages if "mvu_pkg.sv" not in line and "lint-" not in line]
    assert not ours, found.stderr


ILLEGAL = {
    "adc": "STEPS=5",
    "adder": "PE=0",
    "multiplier": "PIXELS=0",
    "clock_generator": "POST=0",
    "concatenator": "A_BEATS=0",
    "duplicator": "OUTPUTS=0",
    "dwc_axi": "OBITS=0",
    "gaussian": "LANES=99",
    "image_reader": "BEAT_BITS=9",
    "input_planes": "PLANE_BITS=0",
    "iterated_samples": "SOURCES=3",
    "label_select": "K=0",
    "lut_mvu": "SIMD=3",
    "lut_operands": "ACCU_WIDTH=33",
    "lut_sums": "BY_TABLE=1 SHORT_PATHS=1",
    "lut_vvu": "SIMD=2",
    "memstream_axi": "SETS=2",
    "microcontroller": "MEMORY_BYTES=6",
    "noise_tap": "FRAC=13",
    "pool": "PE=0",
    "port_registers": "TAPS=9",
    "reset_synchroniser": "STAGES=1",
    "result_writer": "PE=3",
    "run_control": "IMAGE_BYTES=0",
    "sample_source": "CORES=0",
    "serial_adc": "SUM_WIDTH=33",
    "stream_digest": "PE=3 LANES=2",
    "stream_fifo": "DEPTH=0",
    "thresholds": "STEPS=0",
    "tile_accumulator": "PE=3",
    "upsampler": "DOWN=0",
}
WITHOUT_PARAMETERS = {"table_samples"}


def test_every_check_of_parameters_is_tried():
    checks = {module.stem for module in MODULES if "$fatal" in module.read_text()}
    assert checks - WITHOUT_PARAMETERS == set(ILLEGAL)


@pytest.mark.parametrize(("name", "parameters"), ILLEGAL.items())
def test_an_illegal_parameter_stops_elaboration(name, parameters):
    module = next(path for path in MODULES if path.stem == name)
    arguments = ["--lint-only", *LENIENT, "--no-timing", "--top-module", name]
    arguments += [f"-G{parameter}" for parameter in parameters.split()]
    found = subprocess.run(
        [*toolchain.verilator(), *arguments, *map(str, sources(module))],
        env=toolchain.environment(),
        capture_output=True,
        text=True,
    )
    assert found.returncode != 0 and f"{name}: " in found.stderr, found.stderr


@pytest.mark.parametrize("module", [*MODULES, *PACKAGES, *PROOFS], ids=lambda path: path.stem)
def test_verible_finds_nothing(module):
    linter = shutil.which("verible-verilog-lint", path=Path(sys.executable).parent)
    assert linter, "verible is a development dependency: run 'make setup'"
    found = subprocess.run(
        [linter, f"--rules={VERIBLE}", str(module)],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout


@pytest.fixture(scope="module")
def synthesised(yosys, tmp_path_factory) -> dict[str, str]:
    """What Yosys says of each module that it refuses.

    One process takes all of them, since its start takes longer than a module, and reads those that
    have the same sources at once. What it refuses ends the process: it is then given one by one.
    """
    folder = tmp_path_factory.mktemp("synthesis")
    together: dict[tuple[Path, ...], list[Path]] = {}
    for module in MODULES:
        files = tuple(sources(module))
        together.setdefault(files, []).append(module)
        for source in files:
            shutil.copy(source, folder)
    left, refused = list(together.values()), {}
    while left:
        script = []
        for number, modules in enumerate(left):
            tops = " ".join(f"--top {module.stem}" for module in modules)
            names = " ".join(path.name for path in sources(modules[0]))
            script += ["design -reset", f"read_slang -j 1 -DSYNTHESIS {tops} {names}"]
            # `check` takes seconds for each multiplexer of a table, unless it is one of small ones
            script += ["proc", "opt_clean", "bmuxmap", "check -assert"]
            script.append(f"tee -q -a done.txt log {number}")
        (folder / "all.ys").write_text("\n".join(script))
        command = [yosys, "-q", "all.ys"]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        done = folder / "done.txt"
        left = left[len(done.read_text().splitlines()) if done.exists() else 0 :]
        done.unlink(missing_ok=True)
        if left:
            modules = left.pop(0)
            if len(modules) > 1:
                left = [*([module] for module in modules), *left]
            else:
                refused[modules[0].stem] = found.stdout + found.stderr
    return refused


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_yosys_synthesises(module, synthesised):
    assert module.stem not in synthesised, synthesised[module.stem]

"""What stored figures depend on: sets of modules that are found, and keys that follow the code."""

import ast
import sys
from functools import cache, partial
from pathlib import Path

import pytest

import flow.compiler.pipeline
from flow import numerics
from flow.numerics import INERT, ROOT, closure, code_digest, code_of, imports
from flow.walks.points.measurement import Measured
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint, PointRequest
from flow.walks.points.side import INTEGER, Side
from flow.walks.points.store import Store
from flow.walks.sides.measurements import MEASUREMENTS
from flow.walks.walk import Walk

SETS = {str(side): MEASUREMENTS[side].numerics.__name__ for side in Side} | {
    "compiler": "flow.compiler.pipeline",
    "walk in software": "flow.models",
    "system": "flow.soc.walk",
}


@pytest.mark.parametrize("who", SETS)
def test_a_set_is_not_empty_and_closed_under_imports(who):
    found = closure([SETS[who]])
    assert len(found) > 10
    assert {inner for name in found for inner in imports(name)} - INERT <= set(found)


def test_every_side_is_measured_and_has_what_it_computes_with():
    assert set(MEASUREMENTS) == set(Side)
    for side, expected in {
        Side.SOFTWARE: {"flow.models.evaluation", "flow.threads", "flow.noise.kinds"},
        Side.SOFTWARE_HARDWARE_RNG: {
            "flow.noise.hardware.fixed_point",
            "flow.noise.philox",
            "flow.noise.gaussian",
            "flow.noise.kernel",
        },
        Side.INTEGER: {"flow.golden.float_noise", "flow.golden.layers"},
        Side.GOLDEN: {
            "flow.golden.model",
            "flow.golden.reader",
            "flow.noise.hardware.fixed_point",
            "flow.threads",
        },
        Side.RTL: {"flow.rtl.simulate", "flow.rtl.equivalence", "flow.golden.model", "sim.runner"},
    }.items():
        assert expected <= set(closure([MEASUREMENTS[side].numerics.__name__])), side
    assert "flow.models.qonnx.file" in closure(["flow.compiler.pipeline"])
    assert "flow.rtl.simulate" not in closure([MEASUREMENTS[Side.SOFTWARE].numerics.__name__])


def _with_another_digit(text: str) -> str:
    """Change one digit of the code; add a line with one where there is none."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            lines = text.splitlines(keepends=True)
            line, at = lines[node.end_lineno - 1].encode(), node.end_col_offset - 1
            digit = line[at : at + 1]
            if digit.isdigit():
                other = str((int(digit) + 1) % 10 or 1).encode()
                lines[node.end_lineno - 1] = (line[:at] + other + line[at + 1 :]).decode()
                changed = "".join(lines)
                if ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text)):
                    return changed
    return text + "\nONE_MORE = 1\n"


@cache
def _hashes(name: str) -> tuple[str, str, str]:
    """Hash a module as it is, with other words, and with another digit."""
    text = numerics._path(name, ROOT).read_text()
    other_words = f'"""Other words."""\n\n# and a comment\n{text}'
    return code_of(text), code_of(other_words), code_of(_with_another_digit(text))


@pytest.mark.slow
@pytest.mark.parametrize("who", SETS)
def test_a_digit_of_any_module_changes_the_key_and_words_do_not(who):
    names = closure([SETS[who]])
    codes = {name: _hashes(name)[0] for name in names} | numerics.sources(names)
    before = numerics._digest(codes)
    assert before == code_digest(SETS[who])
    for name in names:
        _, other_words, other_digit = _hashes(name)
        assert numerics._digest(codes | {name: other_words}) == before, name
        assert numerics._digest(codes | {name: other_digit}) != before, name


def test_documentation_of_fields_and_functions_does_not_count():
    first = code_of(
        '"""A."""\nX = 1\n"""Words."""\n\n\ndef f():\n    """Words."""\n    return "text"\n'
    )
    assert code_of('X = 1\n"""Others."""\n\n\ndef f():\n    return "text"  # comment\n') == first
    assert code_of('X = 1\n\n\ndef f():\n    return "other text"\n') != first


def test_what_is_no_module_of_this_project_is_refused():
    with pytest.raises(ValueError, match="depend on no code"):
        code_digest()
    for name in ("numpy", "flow.nothing"):
        with pytest.raises(ValueError, match="is no module of flow, sim"):
            code_digest(name)


def test_imports_for_the_type_checker_do_not_count(tmp_path):
    (tmp_path / "flow").mkdir()
    for name in "bc":
        (tmp_path / "flow" / f"{name}.py").write_text("")
    (tmp_path / "flow" / "a.py").write_text(
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import flow.b\nelse:\n"
        "    import flow.c\n"
    )
    assert imports("flow.a", tmp_path) == {"flow.c"}


def test_a_template_counts_with_the_module_that_reads_it(tmp_path):
    for name, text in {
        "hdl.py": "",
        "reader.py": "from flow import hdl\n",
        "neighbour.py": "",
        "templates/top.sv.j2": "module {{ name }};\n",
    }.items():
        (tmp_path / "flow" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "flow" / name).write_text(text)
    names = ["flow.reader", "flow.neighbour"]
    before = {name: code_digest(name, root=tmp_path) for name in names}
    (tmp_path / "flow" / "templates" / "top.sv.j2").write_text("module {{ other }};\n")
    # a process hashes each set of modules once
    numerics._code_digest.cache_clear()
    after = {name: code_digest(name, root=tmp_path) for name in names}
    assert [before[name] == after[name] for name in names] == [False, True]
    found = numerics.sources(closure(["flow.compiler.pipeline"]))
    names = {path.rpartition("/")[2] for path in found}
    assert {"accelerator.sv.j2", "node.sv.j2", "kernel.sv.j2", "noise_tap.sv.j2"} <= names


def test_compiled_code_counts_with_the_module_that_loads_it(tmp_path):
    for name, text in {
        "native.py": "",
        "kernel.py": "from flow import native\n",
        "kernel.cpp": "int one = 1;\n",
        "neighbour.py": "",
        "neighbour.cpp": "int one = 1;\n",
    }.items():
        (tmp_path / "flow" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "flow" / name).write_text(text)
    assert set(numerics.sources(["flow.kernel", "flow.neighbour"], tmp_path)) == {"flow/kernel.cpp"}
    before = code_digest("flow.kernel", root=tmp_path)
    (tmp_path / "flow" / "kernel.cpp").write_text("int one = 2;\n")
    # a process hashes each set of modules once
    numerics._code_digest.cache_clear()
    assert code_digest("flow.kernel", root=tmp_path) != before
    for side in (Side.GOLDEN, Side.SOFTWARE_HARDWARE_RNG):
        names = closure([MEASUREMENTS[side].numerics.__name__])
        assert "flow/noise/kernel.cpp" in numerics.sources(names)


def test_the_hardware_of_an_accelerator_is_found():
    names = {path.name for path in flow.compiler.pipeline.kernel_sources()}
    assert {"noise_tap.sv", "lut_mvu.sv", "thresholds.sv"} <= names


def modules_that_run(work) -> set[str]:
    """Return the modules of this project whose functions run while something is done."""
    files: set[str] = set()

    def seen(frame, event, _):
        if event == "call":
            files.add(frame.f_code.co_filename)

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    names = set()
    for file in files:
        path = Path(file)
        if path.is_relative_to(ROOT) and path.parts[len(ROOT.parts)] in numerics.PACKAGES:
            parts = path.relative_to(ROOT).with_suffix("").parts
            names.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def test_every_module_that_computes_a_point_is_in_its_key(
    network, accelerator, inputs, digits, tmp_path
):
    """Runs each side under a profiler: imports alone would not show what is called by an object."""
    walk = Walk(
        network=network,
        accelerator=accelerator,
        inputs=inputs[:8],
        labels=digits.labels[:8],
        placement=Placement(NoiseSetting("additive")),
        store=Store(tmp_path),
        build=tmp_path,
    )
    for side in set(Side) - {Side.RTL}:
        for site in ("fc1.acc", "fc1.weight") if side not in INTEGER else ("fc1.acc",):
            request = PointRequest(side, NoisePoint(site, 4.0), 8)
            used = modules_that_run(
                partial(list, MEASUREMENTS[side].measure(walk.context, [request], Measured()))
            )
            known = set(closure([MEASUREMENTS[side].numerics.__name__])) | INERT
            assert len(used) > 5 and used <= known, (side, used - known)

"""What a simulator is built from, its digest, and the commands that build it."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim import toolchain, verilated

_INCLUDED = {".v", ".sv", ".vh", ".svh", ".svi"}


LENIENT = ("-Wno-fatal", "-Werror-USERERROR", "-Werror-USERFATAL")
"""Verilator's warnings do not stop it, but what a module itself refuses does."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a simulator is built from: the arguments of `sim.runner.build`, completed."""

    top: str
    sources: Sequence[Path]
    parameters: Mapping[str, int | str]
    include_dirs: Sequence[Path]
    defines: Mapping[str, str | int]
    public: Sequence[str]
    traced: Sequence[str]
    optimise: bool
    assertions: bool
    flags: Sequence[str]
    entry: Path
    """C++ file with ``main``."""

    def rules(self) -> str:
        """Return Verilator's control file: which signals are public, which scopes are traced."""
        rules = "`verilator_config\n" + "".join(_public_rule(self.top, p) for p in self.public)
        if self.traced:
            rules += 'tracing_off -scope "*"\n'
            rules += "".join(f'tracing_on -scope "{name}" -levels 1\n' for name in self.traced)
        return rules

    def arguments(self) -> list[str]:
        """Return the arguments to Verilator that do not depend on where files lie."""
        arguments = ["--cc", "--exe", "--vpi", "--no-timing", "--timescale", "1ns/1ps"]
        arguments += ["--top-module", self.top, "--prefix", "Vtop", *LENIENT]
        if self.optimise:
            arguments += ["-O3", "--x-assign", "fast", "--x-initial", "fast"]
        else:
            arguments += ["--x-assign", "unique", "--x-initial", "unique"]
        if not (self.optimise and toolchain.compiler_optimises()):
            # a third less to compile: each of Philox' rounds would be code of its own
            arguments += ["--unroll-count", "1"]
        arguments.append("--assert" if self.assertions else "--no-assert")
        arguments += ["--trace-fst"] if self.traced else []
        arguments += [f"-D{k}={v}" for k, v in sorted(self.defines.items())]
        arguments += [f"-G{k}={_literal(v)}" for k, v in sorted(self.parameters.items())]
        return [*arguments, *self.flags]

    def library_flags(self) -> list[str]:
        """Return make's arguments for Verilator's own library, which all designs share."""
        level = "-O2" if toolchain.compiler_optimises() else "-O0"
        return [*toolchain.MAKE_FOR_GCC, f"OPT_GLOBAL={level}"]

    def optimisation(self) -> list[str]:
        """Return the arguments to make that set the compiler's optimisation."""
        fast, slow = ("-O2 -march=native", "-O1") if self.optimise else ("-O1", "-O0")
        if not toolchain.compiler_optimises():
            # nearly as quick to compile as -O0, and four times as fast
            fast = slow = "-Og -fno-tree-fre"
        return [*self.library_flags(), f"OPT_FAST={fast}", f"OPT_SLOW={slow}"]

    def make_flags(self) -> list[str]:
        """Return all arguments to make that do not depend on where files lie."""
        # Verilator's own libraries would be -llz4 and -lz
        libraries = [f"LDLIBS={toolchain.cocotb_link_flags()}"] if self.traced else []
        return [*self.optimisation(), *libraries]

    def digests(self) -> tuple[str, str]:
        """Hash what the simulator computes, and that together with the machine that builds it."""
        digest = hashlib.sha256()
        texts = (*self.arguments(), *self.optimisation(), self.rules(), toolchain.versions())
        for part in texts:
            digest.update(part.encode() + b"\0")
        included = [
            path
            for folder in self.include_dirs
            for path in sorted(folder.iterdir())
            if path.suffix in _INCLUDED
        ]
        headers = [verilated.POPCOUNT, *(sorted(verilated.FST.iterdir()) if self.traced else [])]
        for path in (*self.sources, None, *included, None, *headers, self.entry):
            content = path.read_bytes() if path else b""
            digest.update(f"{path.name if path else ''}\0{len(content)}\0".encode() + content)
        design = digest.hexdigest()[:16]
        digest.update("\0".join([toolchain.machine(), *self.make_flags()]).encode())
        return design, digest.hexdigest()[:16]

    def verilate_command(self, scratch: Path, rules: Path) -> list[str]:
        """Return the call of Verilator that writes the design's C++ into a folder."""
        command = [*toolchain.verilator(), *self.arguments(), "-Mdir", str(scratch), "-o", self.top]
        command += ["--compiler-include", str(verilated.POPCOUNT)]
        command += ["-CFLAGS", f"-I{verilated.FST}"] if self.traced else []
        command += ["-LDFLAGS", toolchain.cocotb_link_flags()]
        command += [f"-I{folder}" for folder in self.include_dirs]
        return [*command, str(rules), *map(str, self.sources), str(self.entry)]

    def make_command(self, scratch: Path, jobs: int | None) -> list[str]:
        """Return the call of make that compiles the C++ in a folder; targets follow it."""
        command = ["make", "-j", str(jobs or os.cpu_count() or 1), "-C", str(scratch)]
        return [*command, "-f", "Vtop.mk", f"VM_TRACE={int(bool(self.traced))}", *self.make_flags()]


def _literal(value: int | str) -> str:
    if isinstance(value, str):
        return value
    value = int(value)
    if -(1 << 31) <= value < 1 << 31:
        return str(value)
    # wider than a plain literal: sized, signed, two's complement
    bits = max(64, value.bit_length() + 1)
    return f"{bits}'sh{value & ((1 << bits) - 1):x}"


def _public_rule(top: str, pattern: str) -> str:
    module, _, signal = pattern.rpartition(".")
    return f'public_flat_rw -module "{module or top}" -var "{signal}"\n'

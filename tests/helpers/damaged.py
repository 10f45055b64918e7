"""Damaged network files: each must be refused with one message, or be a network.

``python -m tests.helpers.damaged COUNT FILE…`` damages each file COUNT times, and lists what ended
otherwise: an exception that is no `UserError`, a crash, more than 30 s, or more than 4 GB.
"""

import os
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.random import Generator, default_rng
from onnx import numpy_helper

from flow.errors import UserError
from flow.models.qonnx.network import open_network

SECONDS, BYTES = 30, 4 << 30
BATCH = 50
"""Files that one process reads, so that a crash names few."""


def flip(whole: bytes, rng: Generator) -> bytes:
    """Flip bits of one to eight bytes."""
    found = bytearray(whole)
    for place in rng.integers(len(found), size=rng.integers(1, 9)):
        found[place] ^= 1 << int(rng.integers(8))
    return bytes(found)


def overwrite(whole: bytes, rng: Generator) -> bytes:
    """Write random bytes over a part of the file."""
    start, length = _part(whole, rng)
    return whole[:start] + rng.bytes(length) + whole[start + length :]


def zero(whole: bytes, rng: Generator) -> bytes:
    """Write zeros over a part of the file."""
    start, length = _part(whole, rng)
    return whole[:start] + bytes(length) + whole[start + length :]


def cut(whole: bytes, rng: Generator) -> bytes:
    """Keep the beginning of the file."""
    return whole[: int(rng.integers(len(whole)))]


def double(whole: bytes, rng: Generator) -> bytes:
    """Repeat a part of the file."""
    start, length = _part(whole, rng)
    return whole[: start + length] + whole[start:]


def constant(whole: bytes, rng: Generator) -> bytes:
    """Put a value of an initialiser to zero, not a number, infinity, a huge or a negative one."""
    model = onnx.load_model_from_string(whole)
    tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
    values = numpy_helper.to_array(tensor).copy().reshape(-1)
    values = values if values.size else np.zeros(1, values.dtype)
    odd = [0, np.nan, np.inf, 1e30, -1] if values.dtype.kind == "f" else [0, -1, 127, 2**31 - 1]
    with np.errstate(all="ignore"):
        values[rng.integers(values.size)] = np.array(odd)[rng.integers(len(odd))].astype(
            values.dtype
        )
    tensor.CopyFrom(numpy_helper.from_array(values.reshape(list(tensor.dims)), tensor.name))
    return model.SerializeToString()


def claim(whole: bytes, rng: Generator) -> bytes:
    """Let an initialiser, or the input, claim to be huge."""
    model = onnx.load_model_from_string(whole)
    huge = int(rng.choice([2**31, 2**31 - 1, 2**40, 50_000]))
    if rng.random() < 0.3:
        dims = model.graph.input[0].type.tensor_type.shape.dim
        dims[rng.integers(len(dims))].dim_value = huge
    else:
        tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
        tensor.dims[:] = [*tensor.dims, huge] if rng.random() < 0.5 else [huge]
    return model.SerializeToString()


def rewire(whole: bytes, rng: Generator) -> bytes:
    """Let a node read another tensor, perhaps its own output or a later node's."""
    model = onnx.load_model_from_string(whole)
    nodes = model.graph.node
    node, other = (nodes[rng.integers(len(nodes))] for _ in range(2))
    if node.input:
        node.input[rng.integers(len(node.input))] = other.output[0]
    return model.SerializeToString()


def drop(whole: bytes, rng: Generator) -> bytes:
    """Leave out a node, an attribute, an input, an initialiser, or the order of nodes."""
    model = onnx.load_model_from_string(whole)
    node = model.graph.node[rng.integers(len(model.graph.node))]
    held = [model.graph.node, node.attribute, node.input, node.output, model.graph.initializer]
    chosen = held[rng.integers(len(held))]
    if len(chosen):
        del chosen[rng.integers(len(chosen))]
    return model.SerializeToString()


def attribute(whole: bytes, rng: Generator) -> bytes:
    """Change a number of an attribute, or a node's operator or name."""
    model = onnx.load_model_from_string(whole)
    node = model.graph.node[rng.integers(len(model.graph.node))]
    odd = int(rng.choice([0, -1, 1, 2, 3, 1000, 2**31 - 1]))
    if not node.attribute or rng.random() < 0.2:
        node.op_type = str(rng.choice(["Conv", "MatMul", "Quant", "Relu", "Concat", "If", "../x"]))
        node.name = str(rng.choice(["../../x", "a/b", "", "\u2713", "x" * 300]))
        return model.SerializeToString()
    one = node.attribute[rng.integers(len(node.attribute))]
    if one.ints:
        one.ints[rng.integers(len(one.ints))] = odd
    elif one.HasField("i"):
        one.i = odd
    else:
        one.name = "other"
    return model.SerializeToString()


WAYS: tuple[Callable[[bytes, Generator], bytes], ...] = (
    *(flip, overwrite, zero, cut, double),
    *(constant, claim, rewire, drop, attribute),
)


def _part(whole: bytes, rng: Generator) -> tuple[int, int]:
    length = int(min(len(whole), 2 ** rng.uniform(0, 10)))
    return int(rng.integers(len(whole) - length + 1)), length


def damaged(whole: bytes, number: int) -> bytes:
    """Return a file damaged in the way that its number stands for."""
    return WAYS[number % len(WAYS)](whole, default_rng(number))


def opened(file: Path) -> str:
    """Open a file; return ``network``, ``refused``, or what went wrong and where."""
    signal.alarm(SECONDS)
    try:
        open_network(file)
        return "network"
    except UserError as error:
        lines = str(error).count("\n") + 1
        return "refused" if lines == 1 else f"a message of {lines} lines: {error}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        ours = [one for one in where if "/flow/" in one.filename] or where
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return f"{type(error).__name__} at {place}: {str(error)[:100]}"
    finally:
        signal.alarm(0)


def results(source: Path, numbers: range) -> Iterator[tuple[int, str]]:
    """Yield the number of each damaged file, and how opening it ended."""
    whole = source.read_bytes()
    for start in range(numbers.start, numbers.stop, BATCH):
        yield from _batch(whole, source.stem, range(start, min(start + BATCH, numbers.stop)))


def _batch(whole: bytes, name: str, numbers: range) -> Iterator[tuple[int, str]]:
    """Read files in a process of its own, and once more from the one after that which ended it."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        at = numbers.start
        while at < numbers.stop:
            said.write_bytes(b"")
            child = os.fork()
            if child == 0:
                try:
                    _child(whole, Path(folder) / f"{name}.onnx", said, range(at, numbers.stop))
                finally:
                    os._exit(1)
            _, status = os.waitpid(child, 0)
            lines = said.read_text(errors="replace").splitlines()
            yield from ((at + row, line) for row, line in enumerate(lines))
            at += len(lines)
            if status and at < numbers.stop:
                yield at, f"ended its process with {os.waitstatus_to_exitcode(status)}"
                at += 1


def _child(whole: bytes, file: Path, said: Path, numbers: range) -> None:
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (held + BYTES, held + BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    with said.open("a", buffering=1, encoding="utf-8") as out:
        for number in numbers:
            file.write_bytes(damaged(whole, number))
            out.write(opened(file).replace("\n", " ") + "\n")
    os._exit(0)


def main() -> None:
    """Damage files, and list what is neither a network nor refused."""
    count, *files = sys.argv[1:]
    for file in map(Path, files):
        ended: Counter[str] = Counter()
        for number, how in results(file, range(int(count))):
            ended[how if how in ("network", "refused") else "wrong"] += 1
            if how not in ("network", "refused"):
                print(
                    f"{file.stem} {number} ({WAYS[number % len(WAYS)].__name__}): {how}", flush=True
                )
        print(f"{file.stem}: {dict(ended)}", flush=True)


if __name__ == "__main__":
    main()

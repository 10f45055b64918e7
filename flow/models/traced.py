"""A network made of any torch module, with a tap behind every operation that noise may disturb.

`torch.fx` follows the module's forward pass and lists its operations. A tap stands behind every
product (convolution, dense layer, matrix product), normalisation, activation and pooling, and at
the input. The taps share the module's parameters: training the network trains the module.
"""

import copy
import hashlib
import inspect
import operator
import traceback
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from torch import Tensor, fx, nn

from flow.errors import UserError
from flow.models.network import Network
from flow.noise import NoiseTap, Tap
from flow.noise.site import INPUT, Site, layer_name

_TAPS = "noise_taps"
_LIBRARIES = ("torch.nn.", "torch.ao.nn.", "brevitas.nn.")
"""Packages whose modules are not looked into."""


def _classes_of(package: str) -> tuple[type, ...]:
    """Return the modules that a package of torch defines."""
    found = (one for _, one in inspect.getmembers(nn, inspect.isclass))
    return tuple(one for one in found if one.__module__ == f"torch.nn.modules.{package}")


_MODULES: dict[str, tuple[type, ...]] = {
    "acc": (*_classes_of("conv"), nn.Linear, nn.Bilinear),
    "norm": tuple(
        c for p in ("batchnorm", "instancenorm", "normalization") for c in _classes_of(p)
    ),
    "act": tuple(c for c in _classes_of("activation") if c is not nn.MultiheadAttention),
    "pool": _classes_of("pooling"),
}
"""Modules of each kind of site."""
_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "acc": (
        "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
        "linear", "bilinear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum",
    ),
    "norm": (
        "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm",
        "local_response_norm",
    ),
    "act": (
        "relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu",
        "mish", "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink", "tanhshrink",
        "threshold", "sigmoid", "logsigmoid", "tanh", "softplus", "softsign", "softmax", "softmin",
        "log_softmax", "glu",
    ),
    "pool": tuple(
        f"{way}_pool{d}d"
        for way in ("avg", "max", "lp", "adaptive_avg", "adaptive_max")
        for d in (1, 2, 3)
    ),
}  # fmt: skip
"""Names of functions and methods of each kind of site."""
_KIND_OF_FUNCTION = {name: kind for kind, names in _FUNCTIONS.items() for name in names}
_TRANSPARENT = ("torch", "_operator", "builtins", "math")
"""Packages whose functions hold no operation but the one of their name."""
_ASSERTIONS = (torch._assert, fx._symbolic_trace._assert_is_none)


class Skipped(NamedTuple):
    """A module with parameters that has no site."""

    path: str
    reason: str


class TracedNetwork(Network):
    """A torch module with taps.

    Sites: ``input``, then one behind every operation in the order of the data flow:
    ``<module>.acc`` behind products, ``.norm`` behind normalisations, ``.act`` behind activations
    and ``.pool`` behind poolings. A function such as ``F.relu`` counts as a module of its name in
    the module that calls it. The second call of a module has the site ``<module>_2.act``. A module
    with quantised layers has sites only at its input and behind its products, named as after its
    export to QONNX: hardware has no values between normalisation and activation.

    Args:
        model: the module, which is not changed; the network shares its parameters.
        name: name of the network in results; the module's class by default.
        training: whether to trace the module as it is in training, with its dropout.

    Raises:
        UserError: the module cannot be traced, with the line in its code, or has no site.
    """

    def __init__(
        self, model: nn.Module, name: str | None = None, *, training: bool = False
    ) -> None:
        super().__init__(name or type(model).__name__, (0, 0, 0), 0)
        self.image_range = None
        # bypasses Module.__setattr__, so that parameters are not listed twice
        self.__dict__["model"] = model
        graph = _trace(model, self.name, training)
        modules = _attributes(model, graph)
        self.skipped = list(_skipped(model, graph, modules))
        """Modules with parameters that no site follows, and why."""
        _make_functional(graph, modules)
        self._sites = _insert_taps(graph, modules, self.quantised)
        if self._sites == [INPUT]:
            raise UserError(
                f"{self.name} has no operation to add noise to: no convolution, dense layer, "
                "normalisation, activation or pooling"
            )
        self.body = fx.GraphModule(modules, graph, type(model).__name__)

    @property
    def model(self) -> nn.Module:
        """The module from which the network was made."""
        return cast(nn.Module, self.__dict__["model"])

    @property
    def quantised(self) -> bool:
        """Whether layers of the module have weights that Brevitas quantises."""
        return is_quantised(self.model)

    @property
    def walk_sites(self) -> list[Site]:
        """Every site of a float module; the accumulators of a quantised one."""
        return self.accumulator_sites if self.quantised else self.sites

    @property
    def digest(self) -> str:
        """Hash of the operations and of all values that they use."""
        found = hashlib.sha256(f"{super().digest} {self.body.graph}".encode())
        for name, module in self.body.named_modules():
            found.update(f"{name} {type(module)} {module.extra_repr()}".encode())
        for _, value in self.body.named_buffers():
            # some are in no state_dict
            found.update(value.detach().contiguous().numpy().tobytes())
        return found.hexdigest()

    def _taps(self) -> dict[Site, Tap]:
        taps = cast(nn.Module, getattr(self.body, _TAPS)).children()
        return dict(zip(self._sites, cast(Iterator[Tap], taps), strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return what the module returns for images, float [N, …]."""
        return cast(Tensor, self.body(x))

    def layer_at(self, site: Site) -> nn.Module:
        """Raise a UserError: a layer may be a function, which has no tiles."""
        raise UserError(
            f"{self.name} is walked as torch traces it, as whole layers: leave rows and input bits "
            "out, or quantise its layers with Brevitas"
        )

    def fit_to(self, images: Tensor, *, classifies: bool = True) -> None:
        """Find the number of classes, by running the network on an image or two.

        Args:
            images: float32 [N, …], as the module takes them.
            classifies: whether the outputs must be scores of classes.

        Raises:
            UserError: the module does not take them, or does not return scores [N, classes].
        """
        was_training = self.training
        try:
            with torch.inference_mode():
                scores = self.eval()(images[:2])
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            shape = list(images.shape[1:])
            raise UserError(
                f"{self.name} does not take images of shape {shape}: {_first_line(error)}"
            ) from error
        finally:
            self.train(was_training)
        fits = isinstance(scores, Tensor) and scores.shape[:1] == images[:2].shape[:1]
        if not fits or (classifies and scores.ndim != 2):
            said = list(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise UserError(
                f"{self.name} returns {said} for {len(images[:2])} images: it must return scores, "
                "a tensor [images, classes]; of other outputs, flow.walk measures a metric"
            )
        channels, height, width = (*images.shape[1:], 1, 1)[:3]
        self.image_shape, self.classes = (height, width, channels), (*scores.shape, 1)[1]


class _Tracer(fx.Tracer):
    """A tracer that does not enter modules of libraries."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        container = isinstance(m, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        return f"{type(m).__module__}.".startswith(_LIBRARIES) and not container


def is_quantised(model: nn.Module) -> bool:
    """Whether layers of a module have weights that Brevitas quantises."""
    return any(isinstance(m, QuantWeightBiasInputOutputLayer) for m in model.modules())


def _trace(model: nn.Module, name: str, training: bool) -> fx.Graph:
    """Return the operations of a module's forward pass on images alone."""
    first, *others = inspect.signature(model.forward).parameters.values()
    needed = [one.name for one in others if one.default is one.empty and one.kind in _POSITIONAL]
    if needed:
        raise UserError(
            f"{name} takes {', '.join([first.name, *needed])}: give a module that takes images "
            "alone"
        )
    fixed = {one.name: one.default for one in others if one.default is not one.empty}
    modes = {module: module.training for module in model.modules()}
    try:
        graph = _Tracer().trace(model.train(training), fixed or None)
    except Exception as error:
        # the module's own code runs, on values that are not known
        raise UserError(f"{name} cannot be traced: {_place(error)}") from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    for node in reversed(list(graph.nodes)):
        # what torch.fx adds for the arguments that are fixed
        spare = node.op == "placeholder" and node.name != first.name
        if node.target in _ASSERTIONS or ((spare or node.target is operator.eq) and not node.users):
            graph.erase_node(node)
    return graph


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _place(error: Exception) -> str:
    """Return the line of the user's code at which tracing ended, and why."""
    library = str(Path(torch.__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((library, "<")) and frame.filename != __file__
    ]
    if not frames:
        return _first_line(error)
    last = frames[-1]
    why = (
        "its course depends on the values of the images"
        if isinstance(error, fx.proxy.TraceError)
        else f"{type(error).__name__}: {_first_line(error)}"
    )
    return f"{last.filename}, line {last.lineno}, `{last.line}`: {why}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def _attributes(model: nn.Module, graph: fx.Graph) -> dict[str, Any]:
    """Return the modules and tensors that the operations use, by their paths."""
    used = [n.target for n in graph.nodes if n.op in ("call_module", "get_attr")]
    return {path: operator.attrgetter(path)(model) for path in used}


def _skipped(model: nn.Module, graph: fx.Graph, modules: dict[str, Any]) -> Iterator[Skipped]:
    """Yield the modules that hold parameters and are followed by no site."""
    for node in graph.nodes:
        # a function that is marked with fx.wrap is not looked into
        package = str(getattr(node.target, "__module__", None) or "torch").partition(".")[0]
        if node.op == "call_function" and package not in _TRANSPARENT:
            yield Skipped(_scope(node), f"the operations inside {_name(node)} cannot be seen")
    called = [node.target for node in graph.nodes if node.op == "call_module"]
    for path in dict.fromkeys(called):
        module = modules[path]
        library = type(module).__module__.partition(".")[0]
        if _kind(module) is None and library == "torch" and any(True for _ in module.parameters()):
            yield Skipped(path, f"the operations inside {type(module).__name__} cannot be seen")
    for path, module in model.named_modules():
        # a part of a module that is called is seen by calling the whole
        ends = [n for n, character in enumerate(path) if character == "."]
        wholes = {path, *(path[:end] for end in ends)}
        if _kind(module) is not None and wholes.isdisjoint(called):
            own = [one for one in module.parameters(recurse=False)]
            if own and not any(own[0] is value for value in modules.values()):
                yield Skipped(path, "the forward pass does not call it")


def _kind(module: nn.Module) -> str | None:
    """Return the kind of a module's site; None if it has none."""
    if getattr(module, "return_indices", False):
        return None
    return next((kind for kind, of in _MODULES.items() if isinstance(module, of)), None)


def _make_functional(graph: fx.Graph, modules: dict[str, Any]) -> None:
    """Replace operations that overwrite their input, since taps must keep what they have seen.

    Readers of the overwritten value read the operation's output instead.
    """
    for node in list(graph.nodes):
        if node.op == "call_module" and getattr(modules[node.target], "inplace", False):
            modules[node.target] = copy.copy(modules[node.target])
            modules[node.target].inplace = False
        elif node.op == "call_function" and node.kwargs.get("inplace"):
            node.kwargs = {**node.kwargs, "inplace": False}
        elif node.op == "call_method" and node.target.endswith("_") and node.target[0] != "_":
            node.target = node.target.rstrip("_")
        else:
            continue
        earlier = {node}
        for one in graph.nodes:
            earlier.add(one)
            if one is node:
                break
        node.args[0].replace_all_uses_with(node, lambda user, before=earlier: user not in before)


def _insert_taps(graph: fx.Graph, modules: dict[str, Any], quantised: bool) -> list[Site]:
    """Put a tap behind every operation of a known kind that depends on the images."""
    sites: list[Site] = []
    seen: set[fx.Node] = set()
    numbers = {"conv": count(), "fc": count()}
    for node in list(graph.nodes):
        if node.op != "placeholder" and seen.isdisjoint(node.all_input_nodes):
            continue
        seen.add(node)
        found = _operation(node, modules)
        if found is None:
            continue
        name, kind = found
        if quantised and kind == "acc":
            layer = "fc" if isinstance(modules.get(name), nn.Linear) else "conv"
            number = next(numbers[layer])
            name = layer_name(name) or f"{layer}{number}"
        elif quantised and name:
            continue
        site = _site(name, kind, sites)
        path = f"{_TAPS}.{len(sites)}"
        sites.append(site)
        modules[path] = NoiseTap()
        with graph.inserting_after(node):
            tap = graph.call_module(path, (node,))
        node.replace_all_uses_with(tap, lambda user, tap=tap: user is not tap)
        seen.add(tap)
    return sites


def _operation(node: fx.Node, modules: dict[str, Any]) -> tuple[str, str] | None:
    """Return the path of an operation and the kind of its site; None if it has no site."""
    if node.op == "placeholder":
        return "", INPUT
    if node.op == "call_module":
        path, kind = str(node.target), _kind(modules[str(node.target)])
    elif node.op in ("call_function", "call_method"):
        name, scope = _name(node), _scope(node)
        path, kind = f"{scope}.{name}" if scope else name, _KIND_OF_FUNCTION.get(name)
    else:
        return None
    return None if kind is None else (path, kind)


def _site(path: str, kind: str, taken: list[Site]) -> Site:
    """Return the site of an operation, numbered from the second of its name."""
    if not path:
        return Site(kind)
    names = (Site.of(path if n == 1 else f"{path}_{n}", kind) for n in count(1))
    return next(site for site in names if site not in taken)


def _name(node: fx.Node) -> str:
    """Return the name of a function or method."""
    return node.target if isinstance(node.target, str) else node.target.__name__


def _scope(node: fx.Node) -> str:
    """Return the path of the module that calls a function; empty for the whole."""
    paths = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    return paths[-1] if paths else ""

"""The ``check`` command: whether a network fits the hardware, and whether the images suit it."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from flow import data, models
from flow.compiler import pipeline
from flow.compiler.graph.compatibility import NodeReport, check_nodes
from flow.errors import Defect, UserError
from flow.experiments.settings import CheckSettings
from flow.models import Network, evaluate
from flow.models.qonnx.file import module_of
from flow.models.qonnx.input_quantiser import InputQuantiser
from flow.models.qonnx.network import ImportedNetwork, open_network
from flow.models.tiles import tile
from flow.statistics.intervals import share
from flow.training.settings import NetworkSettings, TrainedSettings
from flow.training.zoo import TrainedNetwork
from flow.walks.loading import CALIBRATION_IMAGES

IMAGES = 500
"""Number of images for the printed accuracy."""


def run(console: Console, settings: CheckSettings) -> None:
    """Print for each node whether it fits the hardware, and how the network labels the images.

    Args:
        console: console to print to.
        settings: the network, and the images if there are any.

    Raises:
        UserError: the network does not fit.
    """
    model = settings.model
    if not models.is_custom(model):
        known = data.dataset(settings.dataset or NetworkSettings.default("dataset"))
        fitting = _tiled(models.build(model, known.image_shape, known.classes), settings)
        pipeline.check(fitting)
        console.print(f"{models.resolve(model)} fits: walk and walk-hw take it", highlight=False)
        _print_tiles(console, fitting)
        return
    trained = _with_images(settings, settings.dataset) if settings.dataset else None
    network = trained.network if trained else _without_images(settings)
    if not isinstance(network, ImportedNetwork):
        raise Defect(f"{model} was not imported")
    reports = check_nodes(network.graph)
    console.print(_table(network, reports))
    _print_images(console, network)
    if trained:
        _print_labels(console, trained)
    if unfit := sum(bool(report.problem) for report in reports):
        raise UserError(
            f"{unfit} nodes of {network.name} do not fit the hardware; the table lists the "
            "changes. `noisewalk walk` takes the network unchanged, in software"
        )
    tiled = _tiled(network, settings)
    pipeline.check(tiled, trained.inputs[:CALIBRATION_IMAGES] if trained else None)
    console.print(
        f"{network.name} fits: walk and walk-hw take it; its sites are {', '.join(tiled.sites)}",
        highlight=False,
        soft_wrap=True,
    )
    _print_tiles(console, tiled)


def _tiled(network: Network, settings: CheckSettings) -> Network:
    """Return a network computed on the requested array."""
    return tile(network, settings.array) if settings.array else network


def _print_tiles(console: Console, network: Network) -> None:
    """Print which layers have several partial sums for each output."""
    if not (array := network.array):
        return
    accumulators = network.accumulator_sites
    several = [site.layer for site in accumulators if site.is_tile]
    one = [site.layer for site in accumulators if not site.is_tile]
    parts = [f"tiles of {array.rows} rows"] if array.rows is not None else []
    parts += [f"inputs of {array.input_bits} bits"] if array.input_bits is not None else []
    console.print(
        f"{' and '.join(parts)}: several partial sums in {', '.join(several) or 'no layer'}; "
        f"one, as without, in {', '.join(one) or 'none'}",
        highlight=False,
        soft_wrap=True,
    )


def _with_images(settings: CheckSettings, dataset: str) -> TrainedNetwork:
    chosen = TrainedSettings(
        model=settings.model, dataset=dataset, input_quant=settings.input_quant
    )
    return TrainedNetwork.load(chosen, default=IMAGES)


def _without_images(settings: CheckSettings) -> ImportedNetwork:
    asked = settings.input_quant
    quantiser = InputQuantiser.parse(asked) if asked else None
    return open_network(Path(settings.model), None, quantiser)


def _print_images(console: Console, network: ImportedNetwork) -> None:
    """Print which images the network takes, and what its scores mean."""
    shape = "×".join(str(size) for size in network.image_shape)
    known = network.image_range
    ends = "" if known is None else f" with values from {known[0]:.4g} to {known[1]:.4g}"
    own = tuple(network.graph.own_input[1])
    lies = ", ".join(str(size) for size in own)
    console.print(
        f"images: {shape} (height × width × channels){ends}; float x of an .npz may also lie as in "
        f"the file, [N, {lies}]",
        highlight=False,
        soft_wrap=True,
    )
    if network.single:
        console.print(
            "one score: class 1 if it is 0 or more, else class 0", highlight=False, soft_wrap=True
        )


def _table(network: ImportedNetwork, reports: list[NodeReport]) -> Table:
    height, width, channels = network.image_shape
    table = Table(
        title=f"{network.name}: images of {height}×{width}×{channels}, {network.classes} classes"
    )
    for name in ("node", "operator", "module", "site", "fits"):
        table.add_column(name)
    sites = {stream: site for site, stream in network.graph.sites.items()}
    for report in reports:
        node = report.step.node
        fits = f"no: {report.problem}; {report.change}" if report.problem else "yes"
        table.add_row(
            node.name,
            f"{node.op_type} bias" if report.step.is_bias else node.op_type,
            module_of(node),
            sites.get(report.step.output, ""),
            f"{fits}; {report.note}" if report.note else fits,
        )
    return table


def _print_labels(console: Console, trained: TrainedNetwork) -> None:
    """Print the network's accuracy or, without labels, its labels' agreement with themselves."""
    network, reference = trained.network, trained.reference
    labels, images = evaluate(network, trained.inputs, batch=100), len(trained.images)
    value, low, high = share(int((labels == reference.labels).sum()), images)
    said = [
        f"{reference.measure} {value:.4f} [{low:.4f}, {high:.4f}] on {images} images of "
        f"{trained.images.source}; guessing has {reference.guess:.4f}"
    ]
    if trained.images.labels is None:
        said.append("the images have no labels: agreement is with the network's own labels")
    if isinstance(network, ImportedNetwork) and network.input_quantiser is not None:
        before = evaluate(network.without_input_quantiser(), trained.inputs, batch=100)
        cost = f"changes {int((before != labels).sum())} of {images} labels"
        if trained.images.labels is not None:
            loss = float((before == trained.images.labels).mean()) - value
            cost = f"costs {100 * loss:.2f} points of accuracy and {cost}"
        said.append(f"the quantiser of the images, {network.input_quantiser}, {cost}")
    if low <= reference.guess:
        said.append(
            "this is no better than guessing: are classes numbered, and images scaled, as in "
            "training? Bytes are scaled to −1 to 1, floats of an .npz are not changed"
        )
    for line in said:
        console.print(line, highlight=False, soft_wrap=True)

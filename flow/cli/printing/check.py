"""The ``check`` command: whether a network fits the hardware, and whether the images suit it."""

from rich.console import Console
from rich.table import Table

from flow import data, models
from flow.compiler import pipeline
from flow.compiler.graph.compatibility import NodeReport, check_nodes
from flow.errors import Defect, UserError
from flow.models import evaluate
from flow.models.qonnx.file import module_of
from flow.models.qonnx.network import ImportedNetwork
from flow.statistics.intervals import share
from flow.training.settings import TrainedSettings
from flow.training.zoo import TrainedNetwork

IMAGES = 500
"""Number of images for the printed accuracy."""


def run(console: Console, model: str, dataset: str) -> None:
    """Print for each node whether it fits the hardware, and the network's accuracy on the images.

    Args:
        console: console to print to.
        model: name of a network, or path of a custom one.
        dataset: name of a data set, or path of a custom one.

    Raises:
        UserError: the network does not fit.
    """
    known = data.dataset(dataset)
    if not models.is_custom(model):
        pipeline.check(models.build(model, known.image_shape, known.classes))
        console.print(f"{models.resolve(model)} fits: walk and walk-hw take it", highlight=False)
        return
    trained = TrainedNetwork.load(TrainedSettings(model=model, dataset=dataset), default=IMAGES)
    network = trained.network
    if not isinstance(network, ImportedNetwork):
        raise Defect(f"{model} was not imported")
    reports = check_nodes(network.graph)
    console.print(_table(network, reports))
    _print_accuracy(console, trained)
    if unfit := sum(bool(report.problem) for report in reports):
        raise UserError(
            f"{unfit} nodes of {network.name} do not fit the hardware; the table lists the "
            "changes. `noisewalk walk` takes the network unchanged, in software"
        )
    pipeline.check(network)
    console.print(
        f"{network.name} fits: walk and walk-hw take it; its sites are {', '.join(network.sites)}",
        highlight=False,
        soft_wrap=True,
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


def _print_accuracy(console: Console, trained: TrainedNetwork) -> None:
    network, found = trained.network, trained.images
    right = int((evaluate(network, trained.inputs, batch=100) == found.labels).sum())
    accuracy, low, high = share(right, len(found))
    console.print(
        f"accuracy {accuracy:.4f} [{low:.4f}, {high:.4f}] on {len(found)} images of "
        f"{found.source}; guessing has {1 / network.classes:.4f}",
        highlight=False,
        soft_wrap=True,
    )
    if low <= 1 / network.classes:
        console.print(
            "this is no better than guessing: are classes numbered, and images scaled, as in "
            "training? Bytes are scaled to −1 to 1, floats of an .npz are not changed",
            highlight=False,
            soft_wrap=True,
        )

"""The trained network and the sites that a walk's user asked for."""

from collections.abc import Sequence
from pathlib import Path

from flow import data, models
from flow.errors import UserError
from flow.models import Network
from flow.models.qonnx.network import open_network
from flow.training import checkpoint
from flow.training.checkpoint import Metadata


def find_checkpoint(model: str, dataset: str, noise: str = "", given: str = "") -> Path:
    """Return the checkpoint of a network.

    Args:
        model: a full or short name; a user's own network is in the file that it names.
        dataset: what it was trained on.
        noise: the kind of noise it was trained with; clean when empty.
        given: a file in place of what is shipped or was trained here.

    Raises:
        UserError: it has to be trained first.
    """
    if models.is_own(model):
        if noise or given:
            raise UserError(
                f"{model} holds its own weights: leave out the checkpoint and the training noise"
            )
        return Path(model)
    if given:
        return Path(given)
    path = checkpoint.zoo_path(model, dataset, noise or None)
    if path is None:
        raise UserError(
            f"there is no checkpoint of {models.resolve(model)} on {dataset}"
            + (f" trained with {noise} noise" if noise else "")
            + ": train one with `noisewalk train`"
        )
    return path


def load_trained(path: Path, model: str, dataset: str) -> tuple[Network, Metadata]:
    """Read a checkpoint that must be of this network and set; anything else is a UserError."""
    if models.is_own(model):
        return _load_own(path, dataset)
    network, metadata = checkpoint.load(path, model)
    if metadata.dataset != dataset:
        raise UserError(
            f"{path} was trained on {metadata.dataset}, not on {dataset}: give "
            f"--dataset {metadata.dataset}, or another checkpoint"
        )
    return network, metadata


def _load_own(path: Path, dataset: str) -> tuple[Network, Metadata]:
    """Open a user's own network, and see that a set's images and labels suit it."""
    known = data.dataset(dataset)
    network = open_network(path, known.image_shape)
    if known.classes > network.classes:
        raise UserError(
            f"{dataset} has {known.classes} classes, {path} tells {network.classes} apart: take "
            "another data set or network"
        )
    data.to_input(data.load(dataset, "test", 1).images, network.image_shape)
    return network, Metadata(network.name, dataset, None, 0, 0, 0.0, 0)


def chosen_sites(asked: str, network: Network, default: Sequence[str]) -> list[str]:
    """Return the sites to walk, in the order of the data.

    Args:
        asked: names with commas between.
        network: whose sites they are.
        default: what is walked if none is asked for.

    Raises:
        UserError: a name is no site, or occurs twice.
    """
    names = [site.strip() for site in asked.split(",") if site.strip()]
    for site in names:
        network.tap(site)
        if names.count(site) > 1:
            raise UserError(f"site {site} is named twice: each is walked once")
    return [site for site in network.all_sites if site in names] if names else [*default]

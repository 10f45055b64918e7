"""The trained network and the sites that a walk's user asked for."""

from pathlib import Path

from flow import checkpoint, models
from flow.checkpoint import Metadata
from flow.errors import UserError
from flow.models import Network


def find_checkpoint(model: str, dataset: str, noise: str = "", given: str = "") -> Path:
    """Return the checkpoint of a network.

    Args:
        model: a full or short name.
        dataset: what it was trained on.
        noise: the kind of noise it was trained with; clean when empty.
        given: a file in place of what is shipped or was trained here.

    Raises:
        UserError: it has to be trained first.
    """
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
    network, metadata = checkpoint.load(path, model)
    if metadata.dataset != dataset:
        raise UserError(
            f"{path} was trained on {metadata.dataset}, not on {dataset}: give "
            f"--dataset {metadata.dataset}, or another checkpoint"
        )
    return network, metadata


def chosen_sites(asked: str, network: Network, default: list[str]) -> list[str]:
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
    return [site for site in network.all_sites if site in names] if names else default

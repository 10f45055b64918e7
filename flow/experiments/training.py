"""The ``train`` command: a network's checkpoint, and what it says about itself."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flow import models
from flow.callbacks import ProgressCallback
from flow.errors import OptionError, UserError, about
from flow.noise import Noise, class_of
from flow.noise.noise_map import NoiseMap
from flow.training import checkpoint, trainer
from flow.training.run import Progress
from flow.training.settings import TrainingOptions


def run(
    options: TrainingOptions,
    progress: ProgressCallback,
    command: str = "",
    tell: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Train a network; a training that was stopped resumes.

    Args:
        options: the user's options.
        progress: called with the progress.
        command: the command line.
        tell: called after each epoch.

    Returns:
        What the checkpoint says about itself, with its interval, file and the command.

    Raises:
        UserError: something the user can mend; finished epochs are kept.
    """

    def epoch(done: Progress) -> None:
        progress("epochs", done.epoch, done.epochs)
        if tell is not None:
            tell(done)

    path = trainer.train(**arguments(options), progress=epoch)
    metadata = checkpoint.load(path)[1]
    interval = list(metadata.interval)
    return asdict(metadata) | {"interval": interval, "file": str(path), "command": command}


def arguments(options: TrainingOptions) -> dict[str, Any]:
    """Return the arguments of `flow.training.trainer.train`."""
    own = {name: getattr(options, name) for name in TrainingOptions.options()}
    for part_of_noise in ("sigma", "ratio", "order", "sites", "noise_map"):
        del own[part_of_noise]
    return own | {"noise": made_noise(options)}


def made_noise(options: TrainingOptions) -> Noise | dict[str, Noise] | None:
    """Return the noise that the user requests for training; OptionError if its level is open."""
    if options.noise_map is not None:
        with about("noise_map"):
            return _of_map(NoiseMap.read(options.noise_map))
    if options.noise is None:
        return None
    level = models.recipe(options.model).sigma if options.sigma is None else options.sigma
    with about("noise"):
        given = _parts(options, class_of(options.noise))
        if options.sites is None:
            return Noise.at(options.noise, _level(level, options.model), **given)
        return {
            site: Noise.at(options.noise, _level(level if own is None else own, site), **given)
            for site, own in options.sites.items()
        }


def _parts(options: TrainingOptions, kind: type[Noise]) -> dict[str, Any]:
    """Return the ratio and order of noise of two terms; OptionError if the kind has none."""
    has = {"ratio": kind.adds and kind.multiplies, "order": "order" in kind.__dataclass_fields__}
    given = {name: getattr(options, name) for name in has if getattr(options, name) is not None}
    for name in given:
        if not has[name]:
            raise OptionError(name, f"given, but {kind.kind} noise has none: leave it out")
    return given


def _of_map(noise_map: NoiseMap) -> dict[str, Noise]:
    """Return the noise of a map; UserError for a unit whose size changes in training."""
    for site, unit in noise_map.units.items():
        if unit != "real":
            raise UserError(
                f"site {site} has σ in {unit}, whose size changes in training: give it in real"
            )
    if noise_map.adc:
        raise UserError("it has an ADC, through which no gradient passes: train without")
    return dict(noise_map.sites)


def _level(given: float | None, where: str) -> float:
    if given is None:
        raise OptionError("sigma", f"is not given, and {where} has no noise level of its own")
    return given

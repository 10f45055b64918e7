"""Commands that walk noise through a network, and the one that tells whether it fits."""

import sys
from typing import TYPE_CHECKING, Any

import click

from flow.cli.options import (
    PATH,
    checkpoint_options,
    console,
    engine_options,
    filed,
    folding_options,
    json_option,
    mvu_option,
    noise_options,
    show,
    typed,
)
from flow.cli.printing.progress_bars import Bars

if TYPE_CHECKING:
    from flow.walk.engine.engine import Engine


@click.command("check")
@click.option("--model", required=True, help="Network: net.onnx, or file.py:factory.")
@click.option("--dataset", required=True, help="A known one, a folder of images, or an .npz.")
def check(**options: Any) -> None:
    """Tell whether a network fits, node by node, and what to change where it does not.

    Example: noisewalk check --model mynet.onnx --dataset myset.npz
    """
    from flow.cli.printing import check

    check.run(console, **filed(options))


@click.command("walk-hw")
@click.option("--model", default="tfc", show_default=True, help="Network: tfc-w2a2, net.onnx, …")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
@noise_options
@click.option("--levels", default="auto", show_default=True, help="σ, with commas between.")
@click.option("--images", default=None, type=int, help="In software, a point; default: 2000.")
@click.option("--draws", default=None, type=int, help="In software, a point; default: 4 or 1.")
@click.option("--hw-images", default=None, type=int, help="In RTL, a point; default: 128 or 64.")
@click.option(
    "--sites", default="", help="As fc0.acc,fc1.weight,fc1.act; default: every .acc site."
)
@click.option("--seed", default=0, show_default=True)
@engine_options
@checkpoint_options
@folding_options
@click.option(
    "--budget",
    default=10.0,
    show_default=True,
    help="Minutes for further draws where the verdict is undecided; 0: none.",
)
@click.option("--ablation", is_flag=True, help="At which step from software to RTL μ moves.")
@mvu_option
@click.option(
    "--scope",
    default="full",
    show_default=True,
    help="What RTL simulates at a noisy site: full, the network; site, what noise can reach.",
)
@json_option
def walk_hw(engine: "Engine", **options: Any) -> None:
    """Walk noise through a network in software and in its RTL, and compare.

    Example: noisewalk walk-hw --model tfc --noise additive
    """
    # torch, brevitas and FINN take seconds to import, --help should not
    from flow.cli.printing import training, walk_tables
    from flow.experiments import hardware_walk
    from flow.walk.settings import Settings

    settings = Settings(**filed(options))
    training.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        summary = hardware_walk.walk_hw(settings, tell, typed(), engine)
    show(summary, walk_tables.print_summary)
    if summary["failures"]:
        sys.exit(1)


@click.command("walk")
@click.option("--model", required=True, help="Network, such as float-lenet5-bn or tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kinds, commas between.")
@noise_options
@click.option("--sites", default="", help="With commas between; default: the network's choice.")
@click.option("--levels", default="auto", show_default=True, help="σ, with commas between.")
@click.option("--seeds", default=4, show_default=True, help="Draws of a point; the most if auto.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--precision-of-mu",
    "precision",
    default=0.03,
    show_default=True,
    help="Half width of the 95 % interval, as a share of μ, that ends a search.",
)
@click.option("--budget", default="", help="End in any case after 600s, or so many noisy images.")
@click.option("--images", default=None, type=int, help="Test images at most; default: all.")
@checkpoint_options
@click.option(
    "--retrain",
    default=0,
    show_default=True,
    help="Epochs of training with a point's noise before it is measured.",
)
@click.option("--out", default=None, type=PATH, help="Results folder.")
@json_option
def walk(**options: Any) -> None:
    """Walk noise through a network in software: the midpoint of each site, and of all at once.

    Example: noisewalk walk --model float-lenet5-bn --dataset cifar10
    """
    from flow.cli.printing import walk_tables
    from flow.experiments import software_walk

    settings = software_walk.Settings(**filed(options))
    with Bars(console) as tell:
        found = software_walk.walk(settings, tell, typed())
    show(found, walk_tables.print_walk)


@click.command("multi-exec")
@click.option("--model", required=True, help="Network, such as float-lenet5-bn or tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
@click.option("--ratio", default=0.5, show_default=True, help="Of mixed noise: additive share.")
@click.option("--sigma", default=None, type=float, help="Of one execution; default: 2 global μ.")
@click.option("--budgets", default="1,2,3,5,7,10,20", show_default=True, help="Executions a site.")
@click.option("--draws", default=3, show_default=True, help="Noise draws of a point.")
@click.option("--sites", default="", help="With commas between; default: the network's choice.")
@click.option("--seed", default=0, show_default=True)
@click.option("--images", default=None, type=int, help="Test images at most; default: all.")
@checkpoint_options
@click.option("--out", default=None, type=PATH, help="Results folder, that of the walk.")
@json_option
def multi_exec(sigma: float | None, budgets: str, draws: int, **options: Any) -> None:
    """Execute noisy layers several times: spend equal budgets in every way, and compare.

    Walks the network first, unless that is done. A layer's k executions are averaged.

    Example: noisewalk multi-exec --model float-lenet5-bn --dataset cifar10
    """
    from flow.cli.printing import walk_tables
    from flow.experiments import multi_execution, software_walk

    walk_settings = software_walk.Settings(**filed(options))
    settings = multi_execution.Settings(walk_settings, budgets, sigma, draws)
    with Bars(console) as tell:
        found = multi_execution.run(settings, tell, typed())
    show(found, walk_tables.print_executions)


@click.command("multi-exec-hw")
@click.option("--model", default="tfc", show_default=True, help="Network, such as tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
@click.option("--repeats", default="1,2,4,8,16,32,64", show_default=True, help="Executions, each.")
@click.option("--sigma", default=None, type=float, help="Of one execution; default: 2 μ, a site.")
@click.option("--images", default=None, type=int, help="In the golden model; default: 2000.")
@click.option("--hw-images", default=None, type=int, help="In RTL; default: 128 or 64.")
@click.option("--sites", default="", help="With commas between; default: every .acc site.")
@click.option("--seed", default=0, show_default=True)
@engine_options
@checkpoint_options
@json_option
def multi_exec_hw(engine: "Engine", repeats: str, sigma: float | None, **options: Any) -> None:
    """Repeat noisy executions in hardware: accuracy over cycles per image, golden and RTL.

    Example: noisewalk multi-exec-hw --model tfc --repeats 1,4,16
    """
    from flow.cli.printing import training, walk_tables
    from flow.experiments import repeats as repetition
    from flow.walk.settings import Settings

    settings = Settings(**filed(options))
    chosen = repetition.Settings(settings, repeats, sigma)
    training.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        found = repetition.run(chosen, tell, typed(), engine)
    show(found, walk_tables.print_repeats)


@click.command("robustness")
@click.option("--model", default="tfc", show_default=True, help="Network, such as tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise that walks.")
@noise_options
@click.option("--images", default=None, type=int, help="In software, a point; default: 2000.")
@click.option("--hw-images", default=None, type=int, help="In RTL, a point; default: 128 or 64.")
@click.option("--sites", default="", help="With commas between; default: every .acc site.")
@click.option("--seed", default=0, show_default=True)
@engine_options
@click.option("--budget", default=0.0, show_default=True, help="Minutes for further noise draws.")
@json_option
def robustness(engine: "Engine", **options: Any) -> None:
    """Walk a network's clean and noise-trained checkpoints: does what was learned arrive in RTL?

    Example: noisewalk robustness --model tfc --noise additive
    """
    from flow.cli.printing import walk_tables
    from flow.experiments.studies import robustness as comparison
    from flow.walk.settings import Settings

    settings = Settings(**filed(options))
    with Bars(console) as tell:
        found = comparison.run(settings, tell, typed(), engine)
    show(found, walk_tables.print_robustness)

"""The work of a walk on the workers of a Dask cluster.

A worker opens the walk by itself, from the same files, and stores what it measures: the folder must
be one that every worker sees. So a worker that dies loses what it was at, which goes to another,
and a client or scheduler that dies loses no finished point.
"""

import hashlib
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import torch

from flow.errors import Fatal, UserError
from flow.numerics import package_digest
from flow.quiet import silence_libraries
from flow.walks.engine.engine import Task, Workload

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from distributed import Client


SLURM = "slurm"
"""Word in place of a scheduler's address that starts workers as jobs of a Slurm cluster."""


_DASHBOARD = "127.0.0.1:8787"


_ENVIRONMENT = ("DATA_DIR",)
"""Environment variables that a worker copies from the client."""


_ENVIRONMENT_OF_WORKERS = {
    "DASK_LOGGING__DISTRIBUTED": "critical",
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Environment of local workers, without logs: a failure is the result of its call."""


class DaskExecutor:
    """Runs calls on Dask workers, which are started or connected at the first call.

    Args:
        workers: processes of a local cluster, or of a Slurm cluster.
        scheduler: of a cluster that runs, such as ``tcp://host:8786``; or ``slurm``, with the
            resources of a job as Dask's configuration says, else one core and 4 GB; local workers
            when empty.
        folder: for results; every worker must see it under the same path.
        announce: called with a line that names the dashboard.
    """

    def __init__(
        self,
        workers: int,
        scheduler: str = "",
        folder: Path = Path("build"),
        announce: Callable[[str], None] = log.info,
    ) -> None:
        if workers < 1:
            raise UserError(f"jobs is {workers}: give 1 or more")
        self.scheduler = scheduler
        self._workers = workers
        self._folder = folder
        self._announce = announce

    def __enter__(self) -> "DaskExecutor":
        return self

    def __exit__(self, *error: object) -> None:
        if "client" in vars(self):
            cluster = self.client.cluster
            # a lost cluster needs no goodbye
            with _quiet_goodbye():
                self.client.close(timeout=5)
                if cluster is not None:
                    cluster.close(timeout=10)
            del self.client

    @cached_property
    def client(self) -> "Client":
        """The connection to the scheduler."""
        from distributed import Client

        # Ctrl-C may cancel a call of distributed that has not begun, which tornado would report
        for name in ("distributed", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

        try:
            if self.scheduler == SLURM:
                client = Client(self._slurm())
            else:
                client = Client(self.scheduler or self._local(), timeout=10)
        except (OSError, ValueError) as error:
            raise Fatal(
                f"there is no Dask scheduler at {self.scheduler}: {error}; start one with `dask "
                "scheduler`, or leave the scheduler out to work on this machine"
            ) from error
        self._announce(f"dashboard: {client.dashboard_link}")
        if self.scheduler:
            self._meet(client)
        return client

    @property
    def workers(self) -> int:
        """Processes: the requested ones, or those of a running cluster."""
        if self.scheduler and self.scheduler != SLURM:
            return max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))
        return self._workers

    def _local(self):
        import dask
        from distributed import LocalCluster

        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
        _start_fork_server()
        return LocalCluster(
            n_workers=self._workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=None,
            dashboard_address=_DASHBOARD,
            local_directory=str(self._folder.absolute() / "dask"),
            silence_logs=False,
        )

    def _slurm(self):
        import dask
        from dask_jobqueue import SLURMCluster

        usual = {"cores": 1, "memory": "4 GB"}
        set_up = {name for name in usual if dask.config.get(f"jobqueue.slurm.{name}", None)}
        cluster = SLURMCluster(
            **{name: value for name, value in usual.items() if name not in set_up}
        )
        cluster.scale(self._workers)
        return cluster

    def _meet(self, client: "Client") -> None:
        """Wait for a worker, and check that all workers share the results folder."""
        try:
            client.wait_for_workers(1, timeout=300)
        except TimeoutError as error:
            raise Fatal(
                f"no worker came to the scheduler at {self.scheduler} within 5 minutes: start some "
                "with `dask worker`, one thread each"
            ) from error
        self._folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._folder, prefix=".seen-") as token:
            seen = client.run(os.path.exists, os.path.abspath(token.name))
        blind = [worker for worker, sees in seen.items() if not sees]
        if blind:
            raise Fatal(
                f"worker {blind[0]} does not see {self._folder.absolute()}: results and simulators "
                "lie there, so it must be on a file system that all machines share"
            )

    def run(self, walk: Workload, calls: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Run calls, several at a time.

        Raises:
            UserError: of a call, or the scheduler or too many workers were lost.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker, as_completed
        from distributed.comm import CommClosedError

        if not calls:
            return
        assert walk.recipe is not None, "a walk that no other process can open"
        surroundings = WorkerEnvironment.here()
        pending = {}
        try:
            for number, call in enumerate(calls):
                # the key identifies the content: two clients that want the same share the work
                content = repr((surroundings, walk.recipe, walk.setting, call.item))
                key = f"{call.name}-{hashlib.sha256(content.encode()).hexdigest()}"
                arguments = (surroundings, walk.recipe, walk.setting, call)
                future = self.client.submit(_at_worker, *arguments, key=key, priority=-number)
                pending[future] = call
            for future in as_completed(list(pending)):
                yield pending.pop(future), future.result()
        except KilledWorker as error:
            raise Fatal(
                f"the workers died at {error.task}, one after another: is there enough memory? "
                "What was finished is kept"
            ) from error
        except (CancelledError, CommClosedError, TimeoutError) as error:
            raise Fatal(
                f"the scheduler {self.scheduler} was lost; what was finished is kept: run the "
                "same command again to resume"
            ) from error
        finally:
            with _quiet_goodbye():
                self.client.cancel(list(pending))


def _start_fork_server() -> None:
    """Start the process from which local workers are forked, so that they share its imports.

    Ctrl-C, which all processes of a terminal get, is for the client: the process and its workers
    have it blocked.
    """
    forkserver.set_forkserver_preload(["distributed", "flow.walks.engine.worker"])
    before = dict(os.environ)
    # otherwise started with the server, and with the signal unblocked again
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(_ENVIRONMENT_OF_WORKERS)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _quiet_goodbye() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        log.info("the cluster could not be closed: %s", error)


@dataclass(frozen=True)
class WorkerEnvironment:
    """Properties that a worker must share with the client."""

    code: str
    folder: str
    environment: tuple[tuple[str, str], ...]

    @classmethod
    def here(cls) -> "WorkerEnvironment":
        known = ((name, os.environ.get(name)) for name in _ENVIRONMENT)
        return cls(
            package_digest(),
            os.getcwd(),
            tuple((name, value) for name, value in known if value is not None),
        )

    def enter(self) -> None:
        if self.code != package_digest():
            raise UserError("a worker has another version of this program: install the same")
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise UserError(
                f"a worker cannot enter {self.folder}: {error}; it must be on a file system that "
                "all machines share"
            ) from error
        os.environ.update(self.environment)


def _at_worker(
    surroundings: WorkerEnvironment, recipe: Callable[[], Workload], setting, call: Task
):
    """Run a call in a worker's process."""
    silence_libraries()
    surroundings.enter()
    # results must not depend on how many threads a machine has
    torch.set_num_threads(1)
    return call.work(recipe().with_setting(setting), call.item)

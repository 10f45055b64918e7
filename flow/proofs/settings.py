"""Settings of the proofs."""

from flow.settings import Count, Names, Settings


class ProofSettings(Settings):
    """Proofs of the modules of ``hw/``."""

    modules: Names = ()
    """Names of modules; every module if none is given"""
    faults: bool = False
    """Plant faults in the modules instead, and check that the proofs find each of them"""
    jobs: Count | None = None
    """Parallel proofs, one per core if not given"""

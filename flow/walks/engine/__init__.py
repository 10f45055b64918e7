"""Engines that run the work of a walk: this process, or Dask workers."""

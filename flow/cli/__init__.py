"""The command line: options become settings, nothing else."""

"""Training with noise, checkpoints, and those that ship."""

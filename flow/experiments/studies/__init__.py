"""Many experiments from one file."""

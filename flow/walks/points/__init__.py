"""A point of a walk, its key and its store."""

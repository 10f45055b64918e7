"""How each side of a walk is measured."""

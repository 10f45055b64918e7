"""The cheapest noise with all sites noisy together, at a given accuracy: the ``budget`` command."""

"""From a Brevitas network to RTL with noise taps."""

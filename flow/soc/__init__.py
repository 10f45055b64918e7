"""A microcontroller and an accelerator with noise taps as one system, and its co-simulation."""

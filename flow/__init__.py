"""Walking noise through quantised networks, in software and in the RTL generated from them."""

import os

# torch's threads would spin while they wait, against the simulators that need the cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""Walking noise through quantised networks, in software and in the RTL generated from them."""

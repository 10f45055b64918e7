"""FINN operators with a module of ``hw/`` behind them."""

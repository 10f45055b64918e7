"""Sides compared: figures, verdicts, further draws, ablation, summary."""

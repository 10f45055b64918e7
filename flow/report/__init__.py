"""Finished walks as HTML, text and pictures."""

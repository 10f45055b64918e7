"""The command line, which only converts options to settings."""

"""The commands of the command line, and all that prints."""

"""One experiment a module, from settings to a results folder."""

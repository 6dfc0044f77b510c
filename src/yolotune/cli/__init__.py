"""The command line: commands, and the options that the fields of the settings make."""

from yolotune.cli.commands import app, main

__all__ = ["app", "main"]

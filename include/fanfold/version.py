"""The version of Fanfold."""

__version__ = "0.2.0.dev0"

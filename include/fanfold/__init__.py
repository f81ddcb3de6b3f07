"""Fanfold: fan out over a long list, process each item, fold the results into one dataset."""

__version__ = "0.1.0"

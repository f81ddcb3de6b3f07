"""The pipelines of this installation, one module each: ``PIPELINE`` and what it is made of.

A module whose name begins with ``_`` is no pipeline: it holds what several of them share.
"""

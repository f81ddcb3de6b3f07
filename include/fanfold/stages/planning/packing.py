"""Cut the items of a run into batches: by number, and files also by bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fanfold.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

SINGLE_ITEMS = 32
"""Up to this number of items, each item is a batch, and so a mapped task."""
SMALL_BATCH = 50
"""Below this number of items a batch costs more in its task (about 0.5 s) than in its requests."""
LARGE_BATCH = 2500
"""Maximum number of items of an automatic batch: about 20 MB of records in memory."""
FEW_BATCHES = 8
"""Minimum number of batches: keeps the slots of a small installation busy until the end."""
MOST_BATCHES = 900
"""Maximum number of batches: below Airflow's ``max_map_length`` (1024)."""
BATCH_BYTES = 64_000_000
"""Bytes of the files of a batch; a larger file is a batch of its own."""


def batch_size_for(items: int, wanted: int | None = None) -> int:
    """Return the number of items per batch.

    ``wanted`` is the ``batch_size`` Param; None is automatic.

    Raises:
        BadInput: ``wanted`` makes more batches than Airflow maps over.
    """
    if wanted is not None:
        if math.ceil(items / wanted) > MOST_BATCHES:
            raise BadInput(
                f"batch_size={wanted} cuts {items} items into more than {MOST_BATCHES} batches. "
                f"Set it to {math.ceil(items / MOST_BATCHES)} or more, or leave it empty."
            )
        return wanted
    if items <= SINGLE_ITEMS:
        return 1
    even = math.ceil(items / FEW_BATCHES)
    return max(SMALL_BATCH, min(even, LARGE_BATCH), math.ceil(items / MOST_BATCHES))


def pack(sizes: Sequence[int], most_items: int) -> tuple[int, ...]:
    """Return the position of the first file of each batch, from 0.

    A batch has consecutive files, at most ``most_items`` of them and at most ``BATCH_BYTES``. A larger
    file is alone. If that makes more than ``MOST_BATCHES`` batches, they are larger.

    Args:
        sizes: Size of each file in bytes.
        most_items: Maximum number of files per batch, from :func:`batch_size_for`.
    """
    most_bytes = max(BATCH_BYTES, sum(sizes) // MOST_BATCHES)
    while len(starts := _packed(sizes, most_items, most_bytes)) > MOST_BATCHES:
        most_bytes += most_bytes // 4
    return starts


def _packed(sizes: Sequence[int], most_items: int, most_bytes: int) -> tuple[int, ...]:
    starts: list[int] = []
    packed = 0
    for position, size in enumerate(sizes):
        packed += size
        if not starts or packed > most_bytes or position - starts[-1] == most_items:
            starts.append(position)
            packed = size
    return tuple(starts)

"""What has to hold before account segments are published."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import linear_sum_assignment

from fanfold.errors import Inconsistent, ToleranceExceeded

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.model import Manifest

log = logging.getLogger(__name__)


def check_segments(manifest: Manifest, now: Path, before: Path | None, tolerated: float) -> None:
    """Check that each account has a segment, and that not too many have another one than before.

    Segments are matched by the accounts that they have in common: their numbers are an order by followers,
    which two similar segments may exchange.

    Args:
        manifest: That of the run.
        now, before: ``account_segments`` of the run, and as it was published last.
        tolerated: Percentage of the accounts in both that may be in another segment.

    Raises:
        Inconsistent: The model has lost accounts.
        ToleranceExceeded: More accounts are in another segment.
    """
    rows = manifest.file_of("account_segments").rows
    if rows != manifest.rows:
        raise Inconsistent(f"{manifest.rows} accounts have {rows} segments: correct the model.")
    if before is None or "server" not in pq.read_schema(before).names:
        log.info("Nothing with the same key is published yet to compare the segments with.")
        return
    with duckdb.connect() as connection:
        numbers, numbers_before, accounts = connection.execute(
            "SELECT now.segment, before.segment AS segment_before, count(*) AS accounts "
            "FROM read_parquet($now) AS now JOIN read_parquet($before) AS before "
            "USING (source, server, user_id) GROUP BY ALL",
            {"now": str(now), "before": str(before)},
        ).fetchnumpy().values()  # fmt: skip
    in_both = np.zeros((max(numbers, default=0) + 1, max(numbers_before, default=0) + 1), int)
    in_both[numbers, numbers_before] = accounts
    common = int(in_both.sum())
    moved = common - int(in_both[linear_sum_assignment(in_both, maximize=True)].sum())
    share = 100 * moved / common if common else 0.0
    said = f"{moved} of the {common} accounts that were there before ({share:.0f} %) are in another segment"
    if share > tolerated:
        raise ToleranceExceeded(
            f"{said}; tolerated are {tolerated:g} %. Nothing was published. Look at segment_profiles in the "
            "workspace of this run. If the new segments are right, trigger a run with a higher "
            "tolerated_moves_percentage."
        )
    log.info("%s.", said)

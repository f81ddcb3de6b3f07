"""What an author writes: a pipeline, as values and pure functions.

A module in a folder ``pipelines`` defines ``PIPELINE``. It is imported by the tasks that need it, never
by a DAG file or the api-server: what these need is in the run's ``plan.json``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fanfold.errors import BadPipeline
from fanfold.injection import unknown_parameters
from fanfold.model import KeyForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fanfold.sources import Source

Text = str | tuple[str, str]
"""A text for people: English, or (English, Chinese)."""

DATASET = "dataset"
"""Name of the dataset in the SQL of folds and charts."""
AS_OF = "as_of"
"""Last column of each dataset and fold: the logical date of the run that made the row (UTC); of a fold over
rows of several runs, the latest one."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A map-reduce pipeline: items, source, transform, contract, folds and charts.

    Functions of the pipeline ask for what they need by the names of their parameters; each function
    below lists the names that it may use.

    Attributes:
        name: Name of its module in the folder ``pipelines``.
        noun: What an item is, in the singular: ``("station", "气象站")``.
        source: Where the records of an item come from.
        contract: pandera schema (``DataFrameModel`` or ``DataFrameSchema``) that rows obey. Columns
            that it does not name are dropped, columns that the transform does not return are null.
        key: Columns that identify a row; the warehouse table is merged by them. If several items give a
            row of one key, the first one counts (``fanfold.stages.consolidating.same_keys``).
        transform: ``(records[, items, as_of]) -> rows``. ``records`` is a frame of the records of
            some items, in order; its index is the item's key, and that of the rows must be, too.
            ``items`` is a frame of their attributes with the same index, ``as_of`` the run's logical
            date. Pure: it must not depend on which items come together.
        each: Instead of ``transform``: ``(record[, item, as_of])`` yields the rows (dicts) of one
            record. Without either, a record is a row.
        dataset: Name of the dataset: its files, its table. Default: the name of the pipeline.
        table_prefix: Prefix of the names of its warehouse tables. In mode ``merge`` a table belongs to one
            DAG; pipelines that share the names of dataset and folds need different prefixes.
        folds: Tables computed from the dataset, in this order.
        charts: Charts of the report, in this order.
        reject: What a row that breaks the contract costs: itself, or all rows of its item. An item
            of which no row is left is ``invalid``.
        mode: ``snapshot``: the dataset is the rows of the run's items. ``merge``: it is the last published
            one with the rows of this run. Rows of a file replace those that the file had before; of rows
            with the same key the newest one counts. The warehouse tables are made equal to dataset and
            folds: rows that others wrote are deleted.
        newest: In mode ``merge``, the column that says which of two rows with the same key is newer, such
            as the time of a change. Without it, and where it is equal, the row of the later run counts; of
            files that of the file whose URI sorts last, so that the order of runs makes no difference; of
            an item, the last row.
        cursor: In mode ``merge``, a column with dates or times by which new records can be requested from the
            source. Each item has the attribute ``since``: its newest value of this column in the published
            dataset, less ``lag_days`` days, as ISO 8601; None if it has no row yet, and in a rebuild.
            Values more than a day after the logical date of the run do not count.
        lag_days: Days for which corrections may come.
        deleted: In mode ``merge``, a column of the contract with booleans: if the newest row of a key is
            true in it, the dataset has no row with this key.
        item_column: Name of the items' column in CSV, JSONL and Parquet files. If the contract has a
            column of this name, it holds the item's key; rows need not have it.
        row_column: If the contract has a column of this name that rows do not have, it holds the position
            of the row in its item, from 1. Item and row together are a key for rows without one.
        check_item: Returns an item's key in canonical form; raises ``ValueError`` with a sentence
            that describes a valid one.
        key_form: How the run page finds a key from what people type.
        label: Column with a name of the row for people.
        measure: Numeric column by which the comparison with the previous run ranks changes.
        not_compared: Columns that change from run to run by themselves, such as an age in days: a
            row in which only these differ is unchanged. ``as_of`` is one of them.
    """

    name: str
    noun: Text
    source: Source
    contract: Any
    key: tuple[str, ...]
    transform: Callable[..., Any] | None = None
    each: Callable[..., Iterable[Mapping[str, Any]]] | None = None
    dataset: str = ""
    table_prefix: str = ""
    folds: Sequence[Fold] = ()
    charts: Sequence[Chart] = ()
    reject: Literal["row", "item"] = "row"
    mode: Literal["snapshot", "merge"] = "snapshot"
    newest: str = ""
    cursor: str = ""
    lag_days: int = 0
    deleted: str = ""
    item_column: str = "item"
    row_column: str = "row"
    check_item: Callable[[str], str] = str
    key_form: KeyForm = field(default_factory=KeyForm)
    label: str = ""
    measure: str = ""
    not_compared: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.dataset:
            object.__setattr__(self, "dataset", self.name)
        names = [self.dataset, *(fold.name for fold in self.folds)]
        for name in (self.name, *names):
            if not _NAME.fullmatch(name) or name == DATASET:
                raise BadPipeline(
                    f"{self.name}: {name!r} is no name for a dataset or fold; use lower-case "
                    f"letters, digits and '_', and not {DATASET!r}."
                )
        if len(set(names)) < len(names):
            raise BadPipeline(f"{self.name}: two tables have the same name: {', '.join(names)}.")
        if not self.key:
            raise BadPipeline(f"{self.name}: key must name the columns that identify a row.")
        self._check_merging()
        if self.transform and self.each:
            raise BadPipeline(f"{self.name}: use transform or each, not both.")
        for function, available in (
            (self.transform, ("items", "as_of")),
            (self.each, ("item", "as_of")),
        ):
            unknown = unknown_parameters(function, available) if function else []
            if unknown:
                raise BadPipeline(
                    f"{self.name}: {getattr(function, '__name__', 'the function')}() has a parameter "
                    f"{unknown[0]!r}; after the first one it may have {' and '.join(available)}."
                )

    def _check_merging(self) -> None:
        if self.mode != "merge" and (self.newest or self.deleted or self.cursor):
            raise BadPipeline(f"{self.name}: newest, deleted and cursor need mode='merge'.")
        if self.lag_days < 0 or (self.lag_days and not self.cursor):
            raise BadPipeline(
                f"{self.name}: lag_days is a number of days from 0, and needs cursor."
            )

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the dataset and the folds."""
        return self.dataset, *(fold.name for fold in self.folds)


@dataclass(frozen=True, slots=True)
class Fold:
    """A table computed from the dataset.

    Attributes:
        name: Its name: its files, its warehouse table, and its name in the SQL of later folds.
        key: Columns that identify a row; rows are sorted by them.
        sql: A query over ``dataset`` and the folds before it, run by DuckDB in one thread.
        function: Instead of ``sql``: ``(batches) -> pyarrow.Table`` or a frame, from an iterator of
            record batches of the dataset, in order.
    """

    name: str
    key: tuple[str, ...] = ()
    sql: str = ""
    function: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if bool(self.sql) == bool(self.function):
            raise BadPipeline(f"Fold {self.name!r} needs either sql or function.")
        if not self.key:
            raise BadPipeline(f"Fold {self.name!r}: key must name the columns that identify a row.")


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the report.

    Attributes:
        title: What it shows.
        sql: Query over ``dataset`` and folds whose rows are drawn and listed beside the chart; they
            are cut off at 5,000.
        spec: Vega-Lite specification without ``data``. A tuple of two texts in it is a pair (English,
            Chinese), for a title, a format or a ``field``; the lines of a text are a list. A layer
            with ``"data": {"name": "values"}`` draws the row of ``values``.
        finding: The sentence that says what one sees. ``{name}`` is a value of ``values``;
            ``{name:percent}`` writes a share from 0 to 1, ``{name:short}`` 1.2M. It is left out if
            one of its values is null.
        values: Query of one row for ``finding``. Default: the first row of ``sql``.
    """

    title: Text
    sql: str
    spec: Mapping[str, Any]
    finding: Text = ""
    values: str = ""

"""Requests and responses of the run page's API.

Times are ISO 8601 in UTC, durations are in seconds, sizes in bytes, shares from 0 to 1.
"""

from fanfold.airflow.page.schemas.base import ApiError, Moment, Verdict
from fanfold.airflow.page.schemas.batches import Batch, Batches, BatchTask
from fanfold.airflow.page.schemas.comparison import OtherRun, OtherRuns
from fanfold.airflow.page.schemas.failures import (
    Example,
    FailedItem,
    FailedItems,
    FailureGroup,
    Failures,
    RejectedGroup,
    RejectedRows,
)
from fanfold.airflow.page.schemas.files import File, Files
from fanfold.airflow.page.schemas.items import (
    Item,
    ItemFile,
    ItemHistory,
    ItemInRun,
    ItemOutcome,
    RejectedRow,
    SomeRecords,
    SomeRejected,
    SomeRows,
    Suggestion,
    Suggestions,
)
from fanfold.airflow.page.schemas.limits import (
    Fetching,
    LimitChanges,
    Limits,
    Published,
    PublishRequest,
    Shares,
)
from fanfold.airflow.page.schemas.pipelines import Latest, Pipeline, PipelineRun, Pipelines
from fanfold.airflow.page.schemas.redrive import (
    Failure,
    Redrivable,
    Redrive,
    Redriven,
    RedriveRequest,
)
from fanfold.airflow.page.schemas.run import (
    DroppedColumn,
    Merge,
    Rate,
    Requests,
    RunSummary,
    Seconds,
    SourceQuota,
    TaskState,
    Timing,
    Wait,
)

__all__ = [
    "ApiError",
    "Batch",
    "BatchTask",
    "Batches",
    "DroppedColumn",
    "Example",
    "FailedItem",
    "FailedItems",
    "Failure",
    "FailureGroup",
    "Failures",
    "Fetching",
    "File",
    "Files",
    "Item",
    "ItemFile",
    "ItemHistory",
    "ItemInRun",
    "ItemOutcome",
    "Latest",
    "LimitChanges",
    "Limits",
    "Merge",
    "Moment",
    "OtherRun",
    "OtherRuns",
    "Pipeline",
    "PipelineRun",
    "Pipelines",
    "PublishRequest",
    "Published",
    "Rate",
    "Redrivable",
    "Redrive",
    "RedriveRequest",
    "Redriven",
    "RejectedGroup",
    "RejectedRow",
    "RejectedRows",
    "Requests",
    "RunSummary",
    "Seconds",
    "Shares",
    "SomeRecords",
    "SomeRejected",
    "SomeRows",
    "SourceQuota",
    "Suggestion",
    "Suggestions",
    "TaskState",
    "Timing",
    "Verdict",
    "Wait",
]

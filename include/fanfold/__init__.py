"""Fanfold: map-reduce data pipelines on Apache Airflow. What a pipeline module imports."""

from fanfold.errors import BadConfiguration, CredentialRefused, ItemRefused, QuotaSpent, SourceBusy
from fanfold.messages import Catalogue, Message
from fanfold.model import Item, KeyForm
from fanfold.pipeline import Chart, Fold, Pipeline
from fanfold.sources import (
    Api,
    Call,
    Compute,
    Files,
    Found,
    Function,
    Listing,
    NotThere,
    Pages,
    Probe,
    Quota,
    Response,
    Several,
)
from fanfold.sources.reading import read_by_status
from fanfold.sources.responses import retry_after, unexpected_response

__all__ = [
    "Api",
    "BadConfiguration",
    "Call",
    "Catalogue",
    "Chart",
    "Compute",
    "CredentialRefused",
    "Files",
    "Fold",
    "Found",
    "Function",
    "Item",
    "ItemRefused",
    "KeyForm",
    "Listing",
    "Message",
    "NotThere",
    "Pages",
    "Pipeline",
    "Probe",
    "Quota",
    "QuotaSpent",
    "Response",
    "Several",
    "SourceBusy",
    "read_by_status",
    "retry_after",
    "unexpected_response",
]

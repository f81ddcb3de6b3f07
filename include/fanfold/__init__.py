"""Fanfold: map-reduce data pipelines on Apache Airflow. What a pipeline module imports."""

__version__ = "0.2.0.dev0"

from fanfold.errors import CredentialRefused, ItemRefused, QuotaSpent, SourceBusy
from fanfold.model import Item, KeyForm
from fanfold.pipeline import Chart, Fold, Pipeline
from fanfold.sources import (
    Api,
    Call,
    Compute,
    Found,
    NotThere,
    Pages,
    Probe,
    Quota,
    Response,
    Several,
)

__all__ = [
    "Api",
    "Call",
    "Chart",
    "Compute",
    "CredentialRefused",
    "Fold",
    "Found",
    "Item",
    "ItemRefused",
    "KeyForm",
    "NotThere",
    "Pages",
    "Pipeline",
    "Probe",
    "Quota",
    "QuotaSpent",
    "Response",
    "Several",
    "SourceBusy",
]

"""Files of a run."""

from __future__ import annotations

from pydantic import Field

from fanfold.airflow.page.schemas.base import Schema


class File(Schema):
    """A file of the manifest."""

    name: str = Field(validation_alias="key")
    table: str = Field(description="The dataset or fold in it; empty for a list of failures.")
    format: str
    rows: int
    bytes: int
    sha256: str


class Files(Schema):
    """The files of the manifest, and whether they can be downloaded."""

    published: bool = Field(description="Whether they were published.")
    prefix: str = Field(description="`s3://bucket/prefix/`.")
    files: list[File]

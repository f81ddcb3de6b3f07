"""Kill this process at its k-th kill point.

There is a kill point before and after each operation that has an effect outside of the process: a
file is flushed, renamed or removed, a line is written, a request is sent to a server (before it is
sent, before and after its response), a statement is executed in a database.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import threading

import psycopg
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq


class KillPoints:
    """Counts the kill points of this process, and kills it at one of them."""

    def __init__(self, kill_at, report):
        self.count = 0
        self._kill_at = kill_at
        self._report = report
        self._lock = threading.Lock()

    def point(self, name):
        """Kill this process if this is the chosen point."""
        with self._lock:
            self.count += 1
            if self.count == self._kill_at:
                self._report(name)
                os.kill(os.getpid(), signal.SIGKILL)

    def wrap(self, owner, attribute, *, before=True, after=True, name=None):
        """Add kill points around the calls of a function or method."""
        original = getattr(owner, attribute)
        name = name or f"{getattr(owner, '__name__', owner)}.{attribute}"

        def wrapped(*arguments, **options):
            if before:
                self.point(f"before {name}")
            result = original(*arguments, **options)
            if after:
                self.point(f"after {name}")
            return result

        setattr(owner, attribute, wrapped)

    def install(self):
        """Add kill points around all operations with an effect outside of the process."""
        for function in ("fsync", "replace", "unlink"):
            self.wrap(os, function)
        self.wrap(json, "dumps", before=False, name="a line")
        self.wrap(pq, "write_table")
        self.wrap(pq.ParquetWriter, "write_table", name="rows of Parquet")
        pa_csv.CSVWriter = self._csv_writer()
        # Requests to S3 and to the source.
        self.wrap(http.client.HTTPConnection, "endheaders", after=False, name="a request")
        self.wrap(http.client.HTTPConnection, "getresponse", name="an answer")
        self.wrap(psycopg.Connection, "wait", name="a step of Postgres")

    def _csv_writer(self):
        # A C type: its methods cannot be replaced.
        class CSVWriter(pa_csv.CSVWriter):
            def write_table(writer, *arguments):  # noqa: N805 - self is the outer one
                self.point("before rows of CSV")
                super().write_table(*arguments)
                self.point("after rows of CSV")

        return CSVWriter

    def connect(self, path):
        """Return a connection to SQLite with kill points around its statements."""
        points = self

        class Cursor(sqlite3.Cursor):
            pass

        class Connection(sqlite3.Connection):
            def cursor(self, factory=Cursor):
                return super().cursor(factory)

        for owner, names in (
            (Cursor, ("execute",)),
            (Connection, ("execute", "executemany", "commit")),
        ):
            for name in names:
                points.wrap(owner, name, name=f"SQLite's {name}")
        return sqlite3.connect(path, factory=Connection)

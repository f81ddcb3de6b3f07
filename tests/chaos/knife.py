"""Kill this process at its k-th write: the fault hook, which lives in the tests alone.

A write point lies before and after each thing that leaves a trace outside of the process: a file
that is flushed, renamed or removed, a line that is added to one, a request to a server (before it
is sent, after it was sent but not answered, after it was answered), a step of a database.
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


class Knife:
    """Counts write points, and kills at one of them."""

    def __init__(self, kill_at, tell):
        self.points = 0
        self._kill_at = kill_at
        self._tell = tell
        self._lock = threading.Lock()

    def point(self, name):
        """Die here, if this is the point."""
        with self._lock:
            self.points += 1
            if self.points == self._kill_at:
                self._tell(name)
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner, attribute, *, before=True, after=True, name=None):
        """Put points around calls of a function or method."""
        original = getattr(owner, attribute)
        name = name or f"{getattr(owner, '__name__', owner)}.{attribute}"

        def with_points(*arguments, **options):
            if before:
                self.point(f"before {name}")
            result = original(*arguments, **options)
            if after:
                self.point(f"after {name}")
            return result

        setattr(owner, attribute, with_points)

    def install(self):
        """Put points around everything that leaves a trace."""
        for function in ("fsync", "replace", "unlink"):
            self.around(os, function)
        self.around(json, "dumps", before=False, name="a line")
        self.around(pq, "write_table")
        self.around(pq.ParquetWriter, "write_table", name="rows of Parquet")
        pa_csv.CSVWriter = self._csv_writer()
        # A request that is sent: S3 and the source alike.
        self.around(http.client.HTTPConnection, "endheaders", after=False, name="a request")
        self.around(http.client.HTTPConnection, "getresponse", name="an answer")
        self.around(psycopg.Connection, "wait", name="a step of Postgres")

    def _csv_writer(self):
        # A type of C, whose methods cannot be replaced.
        class CSVWriter(pa_csv.CSVWriter):
            def write_table(writer, *arguments):  # noqa: N805 - the knife is self
                self.point("before rows of CSV")
                super().write_table(*arguments)
                self.point("after rows of CSV")

        return CSVWriter

    def connect(self, path):
        """Return a connection to SQLite with points around its steps."""
        knife = self

        class Cursor(sqlite3.Cursor):
            pass

        class Connection(sqlite3.Connection):
            def cursor(self, factory=Cursor):
                return super().cursor(factory)

        for owner, names in (
            (Cursor, ("execute", "executemany")),
            (Connection, ("commit",)),
        ):
            for name in names:
                knife.around(owner, name, name=f"SQLite's {name}")
        return sqlite3.connect(path, factory=Connection)

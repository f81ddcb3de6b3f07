"""The folder that holds everything of an embedded stack, and its secrets."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fanfold.errors import BadConfiguration

ADMIN = "admin"
"""The one user of the embedded Airflow."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once for a folder and kept, so that sessions and encrypted values survive a restart."""

    fernet_key: str
    jwt_secret: str
    api_secret_key: str
    admin_password: str
    s3_access_key: str
    s3_secret_key: str
    source_token: str

    @classmethod
    def fresh(cls) -> Secrets:
        """Return new random secrets."""
        return cls(
            fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            jwt_secret=secrets.token_urlsafe(48),
            api_secret_key=secrets.token_urlsafe(24),
            admin_password=secrets.token_urlsafe(12),
            s3_access_key=f"FAN{secrets.token_hex(8).upper()}",
            s3_secret_key=secrets.token_urlsafe(30),
            source_token=secrets.token_urlsafe(24),
        )


@dataclass(frozen=True, slots=True)
class Home:
    """Where the files of an embedded stack lie; only its owner may look inside."""

    root: Path

    @classmethod
    def default(cls, repository: Path) -> Home:
        """Return ``$FANFOLD_HOME``, or ``.fanfold`` in the repository."""
        given = os.environ.get("FANFOLD_HOME")
        return cls((Path(given) if given else repository / ".fanfold").absolute())

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME: database and task logs."""
        return self.root / "airflow"

    @property
    def database(self) -> Path:
        """Airflow's metadata database."""
        return self.airflow / "airflow.db"

    @property
    def shared(self) -> Path:
        """FANFOLD_SHARED_DIR: the workspaces of all runs."""
        return self.root / "shared"

    @property
    def warehouse(self) -> Path:
        """The SQLite database that ``load`` writes to."""
        return self.root / "warehouse.db"

    @property
    def logs(self) -> Path:
        """What each process says."""
        return self.root / "logs"

    @property
    def objects(self) -> Path:
        """The S3 server's objects."""
        return self.root / "s3"

    @property
    def inputs(self) -> Path:
        """Lists of users that ``make run`` made."""
        return self.root / "inputs"

    @property
    def state(self) -> Path:
        """What runs here."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.root / "lock"

    @property
    def passwords(self) -> Path:
        """Airflow's file of users and passwords."""
        return self.root / "passwords.json"

    @property
    def source_token(self) -> Path:
        """The simulator's access token, in a file so that no process list shows it."""
        return self.root / "source-token"

    def log_of(self, process: str) -> Path:
        """The log of one process."""
        return self.logs / f"{process}.log"

    def prepare(self) -> Secrets:
        """Create what is missing and return the secrets.

        Raises:
            BadConfiguration: The folder cannot be written, or its secrets file is damaged.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.airflow, self.shared, self.logs, self.inputs):
                folder.mkdir(exist_ok=True)
            found = self.secrets()
            _write_private(self.passwords, json.dumps({ADMIN: found.admin_password}))
            _write_private(self.source_token, found.source_token)
        except OSError as error:
            raise BadConfiguration(
                f"{self.root} cannot be used ({error}); set FANFOLD_HOME to a folder of yours."
            ) from error
        return found

    def secrets(self) -> Secrets:
        """Return the secrets of this folder; make them the first time.

        Raises:
            BadConfiguration: The file is damaged.
        """
        path = self.root / "secrets.json"
        if not path.exists():
            _write_private(path, json.dumps(asdict(Secrets.fresh()), indent=1))
        try:
            data = json.loads(path.read_text("utf-8"))
            return Secrets(**{each.name: data[each.name] for each in fields(Secrets)})
        except (ValueError, KeyError, TypeError) as error:
            raise BadConfiguration(f"{path} is damaged; `make clean` makes a new one.") from error


def _write_private(path: Path, text: str) -> None:
    """Write under another name and rename; nobody else may read it at any time."""
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)

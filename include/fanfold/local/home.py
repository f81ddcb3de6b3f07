"""The folder of a local stack, and its secrets."""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fanfold.errors import BadConfiguration
from fanfold.workspace.paths import INPUTS

ADMIN = "admin"
"""The user of the local Airflow."""
MAX_PATH = 300
"""Bytes of the path of a stack's folder. SQLite opens paths of up to 512 bytes, and those of the
workspaces have up to 200 more."""
RESERVE = 1 << 16
"""Bytes of the reserve."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Generated once for a folder and kept: sessions and encrypted values outlive a restart."""

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


class Home:
    """The folder of a local stack; only its owner can read it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.airflow = root / "airflow"  # AIRFLOW_HOME: the metadata database and the task logs
        self.database = self.airflow / "airflow.db"
        self.shared = root / "shared"  # FANFOLD_SHARED_DIR: the workspaces of all runs
        self.warehouse = root / "warehouse.db"  # the SQLite database that runs load into
        self.logs = root / "logs"  # of all components
        self.objects = root / "s3"  # the saved buckets of the S3 server
        self.inputs = self.shared / INPUTS  # lists that `make run` wrote
        self.hours = root / "hours"  # by which the simulator is ahead of the clock
        self.port = root / "port"  # of Airflow: the next start has the same addresses
        self.state = root / "state.json"
        self.reserve = root / "reserve"  # deleted on a full disk, so that the state can be written
        self.lock = root / "lock"  # locked by the supervisor while it runs
        self.passwords = root / "passwords.json"  # Airflow's users and passwords
        self.source_token = root / "source-token"  # in a file to keep it out of process lists

    @classmethod
    def default(cls, repository: Path) -> Home:
        """Return ``$FANFOLD_HOME``, or ``.fanfold`` in the repository."""
        given = os.environ.get("FANFOLD_HOME")
        return cls((Path(given) if given else repository / ".fanfold").absolute())

    def check(self) -> None:
        """Refuse a folder that other users may have prepared; make it one that they cannot read.

        Raises:
            BadConfiguration: It is no folder, belongs to another user, as a link to it does, others can write
                to it, or its path is too long or contains ``%``.
        """
        if len(os.fsencode(self.root)) > MAX_PATH:
            raise BadConfiguration(
                f"The path {self.root} has more than {MAX_PATH} bytes, which SQLite cannot open files under; "
                "set FANFOLD_HOME to a folder with a shorter path."
            )
        if "%" in str(self.root):
            raise BadConfiguration(
                f"The path {self.root} contains '%', below which Airflow does not find its folders; set "
                "FANFOLD_HOME to another folder."
            )
        try:
            owner, found = self.root.lstat().st_uid, self.root.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unusable(self.root, error) from error
        if not stat.S_ISDIR(found.st_mode):
            raise _unusable(self.root, "it is no folder")
        if found.st_uid != os.geteuid() or owner not in {0, found.st_uid} or found.st_mode & 0o022:
            raise BadConfiguration(
                f"{self.root} belongs to another user, or other users can write to it: its content cannot be "
                "trusted. Delete it, or set FANFOLD_HOME to another folder."
            )
        self.root.chmod(0o700)

    def log_of(self, component: str) -> Path:
        """Return the log of a component."""
        return self.logs / f"{component}.log"

    def prepare(self) -> Secrets:
        """Create what is missing and return the secrets.

        Raises:
            BadConfiguration: The folder cannot be written or must not be used (:meth:`check`), or its
                secrets file is damaged.
        """
        try:
            # One by one: parents=True ignores the mode.
            for folder in (*reversed(self.root.parents), self.root):
                folder.mkdir(exist_ok=True, mode=0o700)
            self.check()
            for folder in (self.airflow, self.shared, self.logs, self.inputs):
                folder.mkdir(exist_ok=True)
            self.reserve.write_bytes(bytes(RESERVE))
            found = self.secrets()
            _write_private(self.passwords, json.dumps({ADMIN: found.admin_password}))
            _write_private(self.source_token, found.source_token)
        except OSError as error:
            raise _unusable(self.root, error) from error
        return found

    def remembered_port(self) -> int | None:
        """Return the port of Airflow in this folder, if it has been started."""
        try:
            return int(self.port.read_text("ascii"))
        except (OSError, ValueError):
            return None

    def remember_port(self, port: int) -> None:
        """Write the port of Airflow for the next start."""
        _write_private(self.port, str(port))

    def secrets(self) -> Secrets:
        """Return the secrets of this folder; generates them the first time.

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
            raise BadConfiguration(f"{path} is damaged; `make clean` removes it.") from error


def _unusable(folder: Path, why: object) -> BadConfiguration:
    return BadConfiguration(f"{folder} cannot be used ({why}); set FANFOLD_HOME to another folder.")


def _write_private(path: Path, text: str) -> None:
    """Replace a file atomically; only its owner can read it."""
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)

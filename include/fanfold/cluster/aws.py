"""``python3 -m fanfold.cluster.aws``: write .env on the instance of deploy/aws/fanfold.yaml.

The secrets are those of Secrets Manager. The first start generates the ones that it lacks and stores them
there, so that another instance continues with the same installation. Needs the ``aws`` command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from fanfold.cluster import environment
from fanfold.cluster.commands import ENV_FILE
from fanfold.errors import BadConfiguration, FanfoldError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SETTINGS = {
    **environment.SETTINGS,
    "COMPOSE_PROFILES": "",
    "COMPOSE_FILE": "docker-compose.yaml:deploy/aws/compose.yaml",
}
FROM_THE_STACK = ("AWS_REGION", "FANFOLD_BUCKET", "POSTGRES_HOST")
"""Settings that the user data of the template gives."""


def write(path: Path, stack: Mapping[str, str]) -> None:
    """Write the settings and secrets of the installation.

    Args:
        path: The .env file; replaced.
        stack: FROM_THE_STACK, and the ARNs of the two secrets as ``SECRETS`` and ``PIPELINE_SECRET``.

    Raises:
        BadConfiguration: A secret cannot be read or stored, or the file cannot be written.
    """
    stored = json.loads(_aws("get-secret-value", stack["SECRETS"]))
    key = json.loads(_aws("get-secret-value", stack["PIPELINE_SECRET"]))
    path.unlink(missing_ok=True)
    given = {name: stack[name] for name in FROM_THE_STACK}
    environment.change(path, {**SETTINGS, **given, **stored, **key})
    full = environment.ensure(path)
    secrets = {name: full[name] for name in environment.SECRETS if name not in key}
    if secrets != stored:
        _aws("put-secret-value", stack["SECRETS"], json.dumps(secrets))


def _aws(action: str, secret: str, text: str | None = None) -> str:
    """Return the text of a secret; or store one, which goes through stdin, as command lines are public."""
    command = ["aws", "secretsmanager", action, "--secret-id", secret, "--output", "text"]
    if text is None:
        command += ["--query", "SecretString"]
    else:
        command += ["--secret-string", "file:///dev/stdin"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadConfiguration(
            f"`aws secretsmanager {action}` of {secret} failed: {done.stderr.strip()}"
        )
    return done.stdout


if __name__ == "__main__":
    try:
        write(ENV_FILE, os.environ)
    except FanfoldError as error:
        sys.exit(str(error))

"""Write the row of a user to a file system: the last function of ``function_map``.

Payload: the result of ``process_user``. Result: the same and ``"file"``, the path of the JSON file; a
missing user is passed on. The file of an earlier call is replaced, so a repeated call changes nothing.

Environment: ``OUTPUT_DIR``, a folder, such as the mount of EFS (Lambda) or CFS (SCF); by default
``/tmp/user_profiles``, which a function keeps only as long as its instance.
Handler: ``write_user.handler`` (AWS Lambda), ``write_user.main_handler`` (Tencent SCF).
"""

import json
import os
import tempfile
from pathlib import Path


def handler(event, context):
    """Write the row of a user; return it with the path."""
    if "missing" in event:
        return event
    folder = Path(os.environ.get("OUTPUT_DIR") or Path(tempfile.gettempdir(), "user_profiles"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{int(event['user_id'])}.json"
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False) as file:
        json.dump(event["user"], file)
    os.replace(file.name, path)  # atomic: no reader sees half a file
    return {**event, "file": str(path)}


main_handler = handler

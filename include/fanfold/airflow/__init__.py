"""The Airflow layer: Params, connections, tasks and policies.

No other package imports Airflow, but for the tools. DAG files import these modules, and each mapped
task parses its DAG file again, so heavy imports belong into the functions that need them.
"""

import re
from importlib import metadata

from fanfold.version import __version__

OLDEST, NEXT = (3, 3, 2), (3, 4)
"""The versions of Airflow that Fanfold works with: from the first, below the second."""

# Without an import of Airflow, which reads its settings.
_installed = metadata.version("apache-airflow-core")
if not OLDEST <= tuple(map(int, re.findall(r"\d+", _installed)[:3])) < NEXT:
    raise ImportError(
        f"Fanfold {__version__} needs Airflow {'.'.join(map(str, OLDEST))} or newer, and below "
        f"{'.'.join(map(str, NEXT))}; Airflow {_installed} is installed. Install a matching Airflow, or a "
        "Fanfold for it."
    )

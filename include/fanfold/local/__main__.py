"""``python -m fanfold.local run|up|down|status|airflow``."""

import signal

# Until `main` handles Ctrl-C, nothing is running: end without a traceback of an import.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from fanfold.local.commands import main  # noqa: E402

raise SystemExit(main())

"""``python -m fanfold.local run|up|down|status``."""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    # Until there is something to clean up, Ctrl-C just ends this process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fanfold.local.commands import main

    sys.exit(main())

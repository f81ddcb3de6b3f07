"""``python -m fanfold.local run|up|down|status``."""

from __future__ import annotations

import sys

from fanfold.local.commands import main

sys.exit(main())

"""``python -m fanfold.local run|up|down|status``."""

from fanfold.local.commands import main

raise SystemExit(main())

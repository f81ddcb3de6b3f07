"""``python3 -m fanfold.cluster``."""

import sys

from fanfold.cluster.commands import main

if __name__ == "__main__":
    sys.exit(main())

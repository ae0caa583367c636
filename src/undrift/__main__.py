"""``python -m undrift`` and the ``undrift`` command are the same thing."""

from __future__ import annotations

import sys

from undrift.cli.dispatch import main

if __name__ == "__main__":
    sys.exit(main())

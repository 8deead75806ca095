"""``python -m deepmusic_export``: the command line of the training side."""

import sys

from deepmusic_export.cli import main

if __name__ == "__main__":
    sys.exit(main())

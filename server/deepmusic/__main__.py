"""``python -m deepmusic``: the command line."""

import sys

from deepmusic.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

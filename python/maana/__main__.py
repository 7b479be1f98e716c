"""The command line: ``maana`` and ``python -m maana``."""

from __future__ import annotations

import sys

from . import _maana


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(_maana.main(["maana", *sys.argv[1:]]))


if __name__ == "__main__":
    main()

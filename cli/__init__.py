"""The command `rt`: parse, call one function, print. Heavy imports happen inside the commands."""

import sys

from cli import extracting, keeping, querying, single, training  # noqa: F401  their commands, in the order of the help
from cli.options import app
from warehouse.errors import RtError

__all__ = ["app", "main"]


def main() -> None:
    """The entry point: one line and a hint on stderr, exit 1, for what the user can mend."""
    try:
        app()
    except RtError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(1)
    except PermissionError as error:
        print(f"error: cannot access {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(1)

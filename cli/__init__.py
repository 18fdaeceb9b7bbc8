"""The command `rt`: parse, call one function, print. Heavy imports happen inside the commands."""

import sys

from cli import extracting, keeping, querying, single, training  # noqa: F401  their commands, in the order of the help
from cli.options import app
from warehouse.errors import RtError

__all__ = ["app", "main"]

INTERRUPTED = 130  # what Typer exits with after Ctrl-C


def main() -> None:
    """The entry point: one line and a hint on stderr, exit 1, for what the user can mend."""
    try:
        app()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            _say_interrupted()
        raise
    except RuntimeError as error:
        if str(error) != "Query interrupted":  # Ctrl-C, as DuckDB tells it
            raise
        _say_interrupted()
        sys.exit(INTERRUPTED)
    except RtError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(1)
    except PermissionError as error:
        print(f"error: cannot access {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def _say_interrupted() -> None:
    resumes = sys.argv[1:2] in (["extract"], ["sweep"])
    print(f"interrupted{': the same command goes on where it stopped' if resumes else ''}", file=sys.stderr)

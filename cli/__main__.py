"""`python -m cli` is `rt`."""

from cli import main

main()

"""`python -m toolkit.cli` is the command `toolkit`."""

from toolkit.cli import main

main()

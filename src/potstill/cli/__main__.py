"""`python -m potstill.cli`: the command line without the installed script."""

from potstill.cli.main import run

run()

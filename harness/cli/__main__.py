"""``python -m harness.cli.main``: the command, where its script is not on the PATH."""

from harness.cli.main import main

main(prog_name="lguest-harness")

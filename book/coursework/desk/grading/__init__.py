"""Grade a class: run every notebook against an autograder archive, within limits, and write tables and reports.

    python -m desk grade SUBMISSIONS --set part1 --roster class.csv

**This is no sandbox against malice.** A notebook runs with the rights of the person who grades. It gets a process, a home and a folder of its own, no network,
and limits on time, memory and output, and checks run apart from the notebook's own `grader`, with the code they rely on put back before each. That keeps accidents
and the usual tricks from costing or earning anything. Somebody who writes code against the desk can still read and change what its user can: grade as a user
who owns nothing else, on a machine you can lose, and look at what the notes call "worth a look".

How it differs from `otter run`, whose marks it gives for an honest notebook:

- a cell that hangs, floods, exhausts or kills the process is left out, and the notebook run again without it;
- checks see the student number under which the submission is filed, whatever the notebook says: with another's number, checks on data of one's own do not pass;
- checks see Python's own functions and the imports of the hand-out, even where the notebook gave these names another meaning.
"""

from __future__ import annotations

import argparse


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command `grade`."""
    from .command import add_arguments, run

    parser = commands.add_parser("grade", help="grade a folder of submissions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.set_defaults(run=run)

# SPDX-License-Identifier: Apache-2.0
"""./undercroft bench: runs the benches named, or all, and prints one table or one JSON array. Never a test: it has no
verdict, only figures beside what they aim at."""

import contextlib
import sys

import boot
import building
import exits
import providers
import table
from report import Failure, step

BENCHES = {"boot": boot.run, "exits": exits.run, "vsp": providers.run}


def main(names, as_json):
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise Failure(f"no bench '{unknown[0]}'; there are: {', '.join(BENCHES)}")
    figures = []
    # With --json standard output holds the array and nothing else.
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
        building.build_all()
        for name in names or BENCHES:
            with step(f"bench {name}"):
                figures += BENCHES[name]()
    print(table.as_json(figures) if as_json else table.as_table(figures))
    return 0

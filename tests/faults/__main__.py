"""All commands, all operations, all errors: `python -m tests.faults`. A table of what came of the faults."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter

from tests.faults.injection import CASES, FAULTS, KILL, Sweep, Trouble, make_inputs


def main() -> int:
    """Prints a line a command; 1 if anything did not hold."""
    troubles = 0
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_inputs()
        for case in CASES:
            sweep = Sweep(case)
            counts: Counter[str] = Counter()
            operations = 0
            for fault in FAULTS:
                for for_good in (False, True) if fault != KILL else (False,):
                    number, outcome = 1, ""
                    while outcome is not None:
                        try:
                            outcome = sweep.once(number, fault, for_good)
                        except Trouble as trouble:
                            troubles += 1
                            outcome = "unnoticed"
                            print(trouble, file=sys.stderr)
                            sweep.clear()
                        if outcome is not None:
                            counts[outcome] += 1
                            operations = max(operations, number)
                            number += 1
            total += counts
            print(f"{case.line[:60]:60} {operations:4} operations  {dict(counts)}", flush=True)
            sweep.clear()
            for name in case.outputs:
                if os.path.exists(name):
                    os.unlink(name)
        os.chdir("/")
    print(f"{sum(total.values())} faults: {dict(total)}; {troubles} did not hold")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())

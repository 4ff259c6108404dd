"""Runs a command and prints its wall time and peak resident memory, as JSON.

A process of its own for each: Linux counts the memory of the process that starts another into the other's peak.
Usage: python -S timed_process.py COMMAND...
"""

import json
import resource
import subprocess
import sys
import time

start = time.perf_counter()
process = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
unit = 1 if sys.platform == "darwin" else 1024
error = process.stderr.decode(errors="replace") if process.returncode else ""
print(json.dumps({"seconds": seconds, "bytes": peak * unit, "error": error}))

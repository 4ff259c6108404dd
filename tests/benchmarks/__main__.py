"""`python -m tests.benchmarks`: cnntool beside other libraries, in one run and with equal threads.

Only measures: the exit code is 0, whatever comes out. Times are medians in milliseconds; a ratio is the time of the
best peer over ours; an error is relative to the largest output of a float64 reference.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from tests.benchmarks import avx2_only, growth, machine, measure, peers, table, whole
from tests.benchmarks.cases import CASES, MEANS
from tests.benchmarks.race import Result, race


def main() -> None:
    """Measures what `--only` wants of the cases, the whole processes and the growth."""
    options = arguments()
    if options.avx2 and not avx2_only.is_active():
        avx2_only.run_again()
    told = machine.describe() | {"measured": (measure.BUSY if options.busy else measure.QUIET).what}
    print("\n".join(f"{name:12} {value}" for name, value in told.items()))
    for name, package in peers.missing().items():
        print(f"{name} is left out: {package} is not installed")
    cases = [case for case in CASES if case.is_wanted(options.only)]
    processes = [process for process in whole.PROCESSES if re.search(options.only, process.name)]
    width = max((len(case.name) for case in (*cases, *processes)), default=0)
    results: list[Result] = []
    for case in cases:
        for threads in options.threads:
            results.append(race(case, threads, options.repeats, measure.BUSY if options.busy else measure.QUIET))
            table.print_result(results[-1], width)
    for result in whole.run_all(processes, options.threads, max(1, options.repeats // 2)):
        results.append(result)
        table.print_result(result, width)
    lines = table.geometric_means(results, MEANS) + table.held_back(results)
    print("\n".join(lines))
    if processes:
        print(table.plain(whole.HEAD, process_rows(results)))
    grown = growth.measure_all(options.only, max(options.threads), options.repeats)
    if grown:
        print(table.plain(growth.HEAD, growth.rows(grown)))
    if options.markdown:
        options.markdown.write_text(as_markdown(told, results, lines, grown), encoding="utf-8")
    if options.json:
        table.write_json(options.json, told, results, grown)


def as_markdown(told: dict[str, str], results: list[Result], lines: list[str], grown: list[dict]) -> str:
    """The page: the machine, the table of cases, means and what holds back, whole processes with memory, growth."""
    inside = [result for result in results if not isinstance(result, whole.ProcessResult)]
    processes = [result for result in results if isinstance(result, whole.ProcessResult)]
    parts = ["; ".join(f"{name} {value}" for name, value in told.items()) + "\n"]
    if inside:
        parts.append(table.markdown(table.HEAD, [table.row_of(result) for result in inside]))
    if lines:
        parts.append("".join(f"- {line}\n" for line in lines))
    if processes:
        parts.append(table.markdown(whole.HEAD, process_rows(results)))
    if grown:
        parts.append(table.markdown(growth.HEAD, growth.rows(grown)))
    return "\n".join(parts)


def process_rows(results: list[Result]) -> list[tuple[str, ...]]:
    """The lines of all whole processes."""
    return [row for result in results if isinstance(result, whole.ProcessResult) for row in whole.rows(result)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="cases whose name matches, such as '^mixed: conv 64'"
    )
    parser.add_argument("--threads", default=[1, 2], metavar="1,2", type=lambda text: [*map(int, text.split(","))])
    parser.add_argument("--repeats", default=9, metavar="N", type=int, help="rounds; half of it for whole processes")
    parser.add_argument("--busy", action="store_true", help=f"take {measure.BUSY.what}, where others work, too")
    parser.add_argument("--avx2", action="store_true", help="on a processor with AVX-512: as if it had none")
    parser.add_argument("--markdown", metavar="FILE", type=Path)
    parser.add_argument("--json", metavar="FILE", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()

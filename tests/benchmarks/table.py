"""Results as plain text, as Markdown and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.benchmarks.cases import GOOD_SHARE
from tests.benchmarks.race import Result

Rows = Sequence[Sequence[str]]
HEAD = ("case", "threads", "ours", "best peer", "ratio (target)", "error", "GFLOP/s", "of peak", "")


def row_of(result: Result) -> tuple[str, ...]:
    """One line: times in ms, the error relative to the largest output."""
    best = "" if result.best is None else f"{result.best} {number(result.peers[result.best])}"
    ratios = [target_text(target) for target in result.targets if target["what"] != "of the peak"]
    if not result.targets and result.best is not None:
        ratios = [f"{result.peers[result.best] / result.ours:.2f}"]
    share = [target for target in result.targets if target["what"] == "of the peak"]
    of_peak = "" if result.share is None else f"{result.share:.0%}"
    if share:
        of_peak += f" ({share[0]['least']:.0%})"
    return (
        result.case,
        str(result.threads),
        number(result.ours),
        best,
        ", ".join(ratios),
        "" if result.error is None else f"{result.error:.0e}",
        "" if result.gflops is None else f"{result.gflops:.0f}",
        of_peak,
        ("PASS" if result.passed else "short") if result.targets or result.notes else "",
    )


def target_text(target: dict) -> str:
    name = "" if target["what"] == "best" else f" {target['what']}"
    return f"{target['figure']:.2f}{name} ({target['least']:g})"


def number(ms: float) -> str:
    """Milliseconds with three digits that count."""
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}"


def others(result: Result) -> str:
    """All peers, for the line below a result."""
    times = (f"{name} {number(ms)}" for name, ms in sorted(result.peers.items(), key=lambda item: item[1]))
    off = max(result.differences.values(), default=0.0)
    agreement = f"; they differ from ours by at most {off:.0e}" if result.differences else ""
    notes = "".join(f"; {note}" for note in result.notes)
    absent = "".join(f"; {name} left out: {why}" for name, why in result.left_out.items())
    return f"{', '.join(times)}{agreement}{notes}{absent}"


def print_result(result: Result, width: int) -> None:
    """A result as soon as it is there."""
    case, threads, ours, best, ratio, error, gflops, of_peak, mark = row_of(result)
    line = f"{case:{width}} {threads:>2}  {ours:>8} ms  {best:>24} ms  {ratio:>26}  "
    print(f"{line}{error:>6} {gflops:>6} {of_peak:>10}  {mark}", flush=True)
    print(f"{'':{width}}     {others(result)}", flush=True)


def geometric_means(results: Iterable[Result], targets: dict[str, float]) -> list[str]:
    """A line for each group that is held to one, and number of threads."""
    lines = []
    results = list(results)
    for group, least in targets.items():
        for threads in sorted({result.threads for result in results if result.group == group}):
            found = [r.targets[0]["figure"] for r in results if (r.group, r.threads) == (group, threads) and r.targets]
            if found:
                mean = math.exp(sum(map(math.log, found)) / len(found))
                mark = "PASS" if mean >= least else "short"
                lines.append(f"{group}, threads {threads}: geometric mean of {len(found)}: {mean:.2f} ({least}) {mark}")
    return lines


def held_back(results: Iterable[Result]) -> list[str]:
    """What holds back each direct convolution that is far from the peak."""
    return [
        f"{r.case}, threads {r.threads}, {r.share:.0%} of the peak: {r.held_back or 'not explained'}"
        for r in results
        if r.group == "direct" and r.share is not None and r.share < GOOD_SHARE
    ]


def markdown(head: Sequence[str], rows: Rows) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def plain(head: Sequence[str], rows: Rows) -> str:
    """The same for a terminal."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" if place == 0 else f"{cell:>{width}}" for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in (head, *rows))
    )


def write_json(path: Path, machine: dict[str, str], results: Iterable[Result], growth: list[dict]) -> None:
    """Everything that was measured."""
    content = {"machine": machine, "results": [dataclasses.asdict(result) for result in results], "growth": growth}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

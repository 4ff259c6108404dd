"""One of N shards of the inputs, for runs on many machines: each leaves its rows and a list, `merge` the table."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.batches.compute import Row
from cnntool.batches.identity import Identity, identity_of_text
from cnntool.batches.parts import SHARDS
from cnntool.errors import BadInput, CnntoolError
from cnntool.files import PathLike, atomic, make_own_folder
from cnntool.images.items import Item
from cnntool.locks import Claim, refuse_claimed

if TYPE_CHECKING:
    from cnntool.batches.extraction import Extraction, Outcome

EXPECTED = "expected what `cnntool extract --shard I/N` left"


class Shard(NamedTuple):
    """The `place`-th of `of`. Which shard an input is in depends on its name alone: files that are added move none."""

    place: int
    of: int

    def output(self, output: PathLike) -> Path:
        """The name that stands for the shard, in `OUTPUT.parts/`."""
        return Path(f"{os.path.realpath(output)}.parts", f"shard-{self.place}-of-{self.of}")

    def claim(self, output: PathLike) -> Claim:
        """The right to compute this shard of OUTPUT; others have that to the other shards, nobody to the whole."""
        target = self.output(output)
        make_own_folder(target.parent, output)
        claim = Claim(target)
        try:
            refuse_claimed(output)
        except BaseException:
            claim.release()
            raise
        return claim

    def holds(self, name: str) -> bool:
        """Whether an input of this name is in the shard."""
        return place_of(name, self.of) == self.place - 1

    def items(self, items: Sequence[Item]) -> Sequence[Item]:
        """The inputs of this shard."""
        return [item for item in items if self.holds(item.name)]

    def finish(self, extraction: Extraction, items: Sequence[Item]) -> None:
        """Writes the rest of the rows, and the list that `merge` reads: what is where in the whole table."""
        extraction.parts.flush()
        places = [place for place, item in enumerate(items) if self.holds(item.name)]
        entries = extraction.entries
        head = {
            "pipeline": extraction.identity.text, "labels": extraction.labels, "sides": extraction.sides,
            "shard": list(self), "inputs": len(items), "names": names_digest(items),
        }  # fmt: skip
        path = self.output(extraction.output).with_suffix(".jsonl")
        make_own_folder(path.parent, extraction.output)
        with atomic(path, text=True, synchronise=True) as file:
            file.write(json.dumps(head) + "\n")
            for row in entries.rows:
                line = {"place": places[row.number], "name": row.name, "label": row.label, "content": row.content.hex()}
                file.write(json.dumps(line) + "\n")
            for number, name, error in entries.failures:
                line = {"place": places[number], "name": name, "kind": error.kind, "message": str(error)}
                file.write(json.dumps(line) + "\n")


def place_of(name: str, shards: int) -> int:
    """The shard of an input, counted from 0."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % shards


def names_digest(items: Sequence[Item]) -> str:
    """Tells whether two shards saw the same inputs in the same order."""
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        digest.update(json.dumps(item.name).encode() + b"\n")
    return digest.hexdigest()


@dataclass
class Listed:
    """What all shards of an output have listed: lines by the place of their input in the table."""

    identity: Identity
    labels: bool
    sides: int
    inputs: int
    lines: dict[int, dict[str, Any]]

    def outcomes(self) -> Iterator[Outcome]:
        """What each input gave, in order."""
        for place in range(self.inputs):
            line = self.lines[place]
            item = Item(line["name"], label=line.get("label"))
            if "content" in line:
                yield place, item, Row(bytes.fromhex(line["content"]))
            else:
                error = BadInput(line["message"])
                error.kind = line["kind"]
                yield place, item, error


def listed_shards(output: PathLike) -> Listed:
    """The lists of all shards; a CnntoolError if one is missing, still at work, or saw other inputs or options."""
    folder = Path(f"{os.path.realpath(output)}.parts")
    found = {}
    for path in sorted(folder.glob(SHARDS)):
        head, lines = _read(path)
        found[tuple(head["shard"])] = head, lines
    if not found:
        raise CnntoolError(f"{os.fspath(output)}: no shard of it is there: {EXPECTED} in {folder.name}/")
    counts = {of for _, of in found}
    if len(counts) > 1:
        given = " and ".join(str(of) for of in sorted(counts))
        raise CnntoolError(
            f"{folder.name} holds shards of {given}: run all of one kind, or begin afresh with --restart"
        )
    count = counts.pop()
    for place in range(1, count + 1):
        Shard(place, count).claim(output).release()  # refused while it is at work
    if missing := [place for place in range(1, count + 1) if (place, count) not in found]:
        listed = ", ".join(f"{place}/{count}" for place in missing[:20])
        raise CnntoolError(f"{os.fspath(output)}: not all shards are done: run --shard {listed}")
    first, _ = found[1, count]
    identity = identity_of_text(first["pipeline"])
    if identity is None:
        raise CnntoolError(f"{folder.name}: damaged: {EXPECTED}")
    by_place: dict[int, dict[str, Any]] = {}
    for shard, (head, own) in found.items():
        if any(head[name] != first[name] for name in ("pipeline", "labels", "sides", "inputs", "names")):
            where = f"--shard {shard[0]}/{shard[1]}"
            raise CnntoolError(f"{where} saw other inputs or options than --shard 1/{count}: run the older one again")
        by_place |= {line["place"]: line for line in own}
    return Listed(identity, first["labels"], first["sides"], first["inputs"], by_place)


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        with open(path, encoding="utf-8") as file:
            head, *lines = (json.loads(line) for line in file)
        if {"pipeline", "labels", "sides", "shard", "inputs", "names"} <= set(head):
            return head, lines
    except (OSError, ValueError):
        pass
    raise CnntoolError(f"{path}: damaged: {EXPECTED}")

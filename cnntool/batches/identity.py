"""What decides a row besides the content of its image, as a text that is stored with the rows, and its digest."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from cnntool.chain.grammar import parse_words
from cnntool.declare import File, Nested, fields_of
from cnntool.errors import CnntoolError
from cnntool.images.preparation import Preparation, from_json, to_json
from cnntool.layers.base import Arrays
from cnntool.pipeline import Pipeline

# Raised when a pipeline gives other numbers for the same image than before, be it in the last bit: rows of before are
# not mixed with the new ones then, and any other release goes on with a table. A digest of the sources would need no
# care, but after most releases each table would have to be computed anew, for a comment.
# `tests/batches/test_identity.py` fails when code that decides numbers changes and nobody has said whether they do.
NUMERICS = 1
DIGEST = 16  # bytes
# What the text holds; the file of the model is only where to find the weights again.
EXPECTED = {"words": list, "seed": int, "until": int, "algorithm": str, "preparation": dict, "mirrored": bool}


class Identity(NamedTuple):
    """`text` is JSON, the same for the same pipeline; `digest` is the hex digest of all in it that decides a number."""

    text: str
    digest: str

    @property
    def values(self) -> dict[str, Any]:
        return json.loads(self.text)

    @property
    def words(self) -> str:
        """The pipeline as a user types it, shortened to fit into a message."""
        words = " ".join(self.values["words"])
        return words if len(words) < 100 else f"{words[:97]}..."


def identity_of(
    pipeline: Pipeline, preparation: Preparation, mirrored: bool = False, model: str | None = None, **others: Any
) -> Identity:
    """`model` is the file that the pipeline was loaded from; `others` is what else decides an output."""
    saved = pipeline.parameters.saved
    values = {
        "words": [word for layer in pipeline.layers for word in layer.words()],
        "seed": pipeline.seed if saved is None else 0,
        "until": pipeline.graph.output + 1,
        "algorithm": pipeline.algorithm,
        "preparation": to_json(preparation),
        "mirrored": mirrored,
        "weights": digest_of_arrays(saved) if saved is not None else "",
        "files": [digest_of_file(path) for layer in pipeline.layers for path in files_of(layer)],
        "numerics": NUMERICS,
        **others,
    }
    return Identity(json.dumps(values | ({"model": model} if model else {}), sort_keys=True), digest_of(values))


def identity_of_text(text: str) -> Identity | None:
    """The identity that a table or a part holds; None for a text that is none."""
    try:
        values = json.loads(text)
        if not isinstance(values, dict) or any(not isinstance(values.get(n), kind) for n, kind in EXPECTED.items()):
            return None
        if not all(isinstance(word, str) for word in values["words"]):
            return None
    except (ValueError, RecursionError):
        return None
    return Identity(text, digest_of({name: value for name, value in values.items() if name != "model"}))


def pipeline_of_identity(identity: Identity) -> Pipeline:
    """The pipeline made again from the words and files that a table tells; a CnntoolError if it is not the same."""
    values = identity.values
    if values.get("model"):
        pipeline = Pipeline.load(values["model"])
    else:
        pipeline = Pipeline.parse(values["words"], seed=values["seed"])
    pipeline = _stopped_at(pipeline, values["until"], values["algorithm"])
    others = {name: values[name] for name in values.keys() - KNOWN}
    again = identity_of(pipeline, from_json(values["preparation"]), values["mirrored"], values.get("model"), **others)
    if again.digest != identity.digest:
        raise CnntoolError(
            f"the pipeline `{identity.words}` would give other numbers now: its files have changed, or the table is of "
            "another version of cnntool"
        )
    return pipeline


def with_absolute_files(pipeline: Pipeline) -> Pipeline:
    """The same pipeline, whose layers find their files from any folder."""
    layers = pipeline.layers
    if pipeline.parameters.saved is not None or not any(True for layer in layers for _ in files_of(layer)):
        return pipeline
    words = [word for layer in layers for word in layer.words()]
    again = Pipeline(parse_words(words, base=os.getcwd()), seed=pipeline.seed)
    return _stopped_at(again, pipeline.graph.output + 1, pipeline.algorithm)


def _stopped_at(pipeline: Pipeline, row: int, algorithm: str) -> Pipeline:
    if 1 <= row != pipeline.graph.output + 1:
        pipeline = pipeline.until(str(row))
    pipeline.use_algorithm(algorithm)
    return pipeline


KNOWN = {*EXPECTED, "weights", "files", "numerics", "model"}


def digest_of(values: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=DIGEST).hexdigest()


def digest_of_arrays(arrays: list[Arrays]) -> str:
    """Of the names, shapes, types and numbers of a model's arrays."""
    import numpy as np

    digest = hashlib.blake2b(digest_size=DIGEST)
    for row, found in enumerate(arrays):
        for name, array in sorted(found.items()):
            digest.update(f"{row} {name} {array.shape} {array.dtype.str}\n".encode())
            digest.update(np.ascontiguousarray(array).data if array.size else b"")
    return digest.hexdigest()


def digest_of_file(path: str) -> str:
    """Of the content of a file that a layer takes arrays from."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, functools.partial(hashlib.blake2b, digest_size=DIGEST)).hexdigest()
    except OSError as error:
        raise CnntoolError(f"{path}: cannot be read: {error.strerror}") from None


def files_of(declared: Any) -> Iterator[str]:
    """The files that a layer, or its bank, takes arrays from."""
    for field in fields_of(declared):
        value = getattr(declared, field.name)
        if isinstance(field.metadata["kind"], Nested):
            yield from files_of(value)
        elif isinstance(field.metadata["kind"], File) and value is not None:
            yield value

"""What decides a row besides its image: the identity of a pipeline, and the version of the numerics in it."""

from __future__ import annotations

import json

import pytest

from cnntool.batches import identity
from cnntool.batches.identity import identity_of, identity_of_text
from cnntool.images.preparation import AS_IT_IS, Preparation
from cnntool.pipeline import Pipeline
from tests.batches.numerics import changed, code_of


def test_code_that_decides_numbers_has_not_changed_in_silence() -> None:
    """Tables of an older release are brought up to date by a newer one if both give the same numbers."""
    assert not changed(), (
        f"{', '.join(changed())} changed. If any pipeline now gives other numbers for the same image, be it in the "
        "last bit, raise NUMERICS in cnntool/batches/identity.py, so that tables of before are computed anew. Then, "
        "or if no number changes, record the code: python -m tests.batches.numerics"
    )


CODE = '''"""Text."""
import numpy as np


class A:
    """More."""

    def f(self, x):
        if x:  # why
            return f"{x + 1}"
        "no docstring, and no effect"
        return "a text"
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# why", "# another reason"),
        ('"""More."""\n', '"""Another text,\n\n    of three lines."""\n'),
        ('"""Text."""\n', ""),
        ("np\n\n\n", "np\n"),
        ("(self, x)", "(\n        self, x\n    )"),
        ("{x + 1}", "{x+1}"),
    ],
)
def test_what_decides_no_number_does_not_count(old: str, new: str) -> None:
    assert code_of(CODE.replace(old, new)) == code_of(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + 1", "x + 2"), ('"a text"', '"b text"'), ("import numpy as np\n", ""),
        ('        return "', '            return "'),
    ],
)  # fmt: skip
def test_what_may_decide_a_number_counts(old: str, new: str) -> None:
    assert old in CODE
    assert code_of(CODE.replace(old, new)) != code_of(CODE)


def test_the_numerics_belong_to_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline.parse("relu")
    before = identity_of(pipeline, AS_IT_IS)
    assert identity_of(pipeline, AS_IT_IS) == before
    monkeypatch.setattr(identity, "NUMERICS", identity.NUMERICS + 1)
    assert identity_of(pipeline, AS_IT_IS).digest != before.digest


def test_the_identity_is_found_again_in_its_text() -> None:
    made = identity_of(Pipeline.parse("conv 3 3 relu", seed=2), Preparation(gray=True), True, threshold=0.5)
    assert identity_of_text(made.text) == made
    values = json.loads(made.text)
    assert identity_of_text(json.dumps(values | {"seed": 3})).digest != made.digest  # type: ignore[union-attr]
    assert identity_of_text(json.dumps(values | {"seed": "3"})) is None

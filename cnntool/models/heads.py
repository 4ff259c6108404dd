"""The JSON that heads of models hold."""

from __future__ import annotations

import json
from typing import Any


def parsed_json(text: str) -> Any:
    """The value of a JSON text, without the infinities and NaN that Python would take."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} in its JSON")

    return json.loads(text, parse_constant=refuse)

"""JSON in the head of a model."""

from __future__ import annotations

import json
from typing import Any


def parsed_json(text: str) -> Any:
    """The value of a JSON text; refuses infinities and NaN, which Python accepts."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} in its JSON")

    return json.loads(text, parse_constant=refuse)

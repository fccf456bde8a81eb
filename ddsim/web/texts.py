"""The page's words in its language, from ``texts.yaml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ddsim.web.refusals import Words

_FILE = Path(__file__).with_name("texts.yaml")
_ERRORS = "errors"


class Texts:
    """The words of one language.

    Args:
        language: one that the file has.
    """

    def __init__(self, language: str) -> None:
        words = _all()[language]
        self.language = language
        self.errors: dict[str, list[str]] = words.get(_ERRORS, {})
        self.words: dict[str, str] = {key: text for key, text in words.items() if key != _ERRORS}

    def __call__(self, key: str, **values: object) -> str:
        """A text, filled in; with ``count`` among the values, the one for that number."""
        if "count" in values and key not in self.words:
            key += "_one" if values["count"] == 1 else "_other"
        return self.words[key].format(**values)

    def error(self, words: Words) -> dict[str, str]:
        """What people read of a refusal."""
        message, hint = self.errors.get(words.code, (words.message, words.hint))
        return {"code": words.code, "message": message, "hint": hint}


def languages() -> list[str]:
    """Which there are."""
    return list(_all())


@cache
def _all() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = yaml.safe_load(_FILE.read_text("utf-8"))
    return content

"""What happened, in one sentence for people, with a word for machines."""

from __future__ import annotations

from typing import Any


class Notice(str):
    """A sentence with a `code` such as "worker_lost"; empty for what needs nobody's care."""

    __slots__ = ("code",)
    code: str

    def __new__(cls, sentence: str, code: str = "") -> Notice:
        """The sentence itself, and its code beside it."""
        notice = super().__new__(cls, sentence)
        notice.code = code
        return notice

    def __reduce__(self) -> tuple[Any, ...]:
        return Notice, (str(self), self.code)

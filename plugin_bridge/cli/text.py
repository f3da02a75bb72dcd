"""Text that stays on its line, whatever names it holds."""

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def on_one_line(text: str) -> str:
    """The text with control characters written out, as `\\n` for a line feed."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)

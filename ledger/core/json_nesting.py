"""How deeply JSON text is nested, found without following it: a bound before anything recursive.

A parser that recurses ends with the C stack, and the interpreter's own limit is no protection: any
library may raise it. Text that is no JSON has a nesting too; its parser refuses it afterwards.
"""

import re
from typing import Final

__all__ = ["json_nesting"]

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def json_nesting(text: bytes) -> int:
    """Give the greatest number of arrays and objects that are open at one place."""
    depth = deepest = 0
    for byte in _STRING.sub(b"", text).translate(None, _NO_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest

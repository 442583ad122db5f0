"""Amounts of usage: exact decimals, kept as whole numbers of the smallest part.

Owns the one text of an amount: no exponent, no sign of zero, no zeros that say nothing. Sums never
round; what does not fit the bounds is refused before it is added.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Final, NewType

from adapters.tmf.usage.limits import USAGE_AMOUNT_DIGITS_MAX
from ledger.core.errors import DecodeError

__all__ = ["ZERO", "Amount", "format_amount", "parse_amount"]

Amount = NewType("Amount", int)
"""Units of 10 ** -USAGE_AMOUNT_DIGITS_MAX."""

ZERO: Final = Amount(0)
_DIGITS: Final = USAGE_AMOUNT_DIGITS_MAX
_PLAIN: Final = re.compile(rf"(-?)([0-9]{{1,{_DIGITS}}})(?:\.([0-9]{{1,{_DIGITS}}}))?", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


def parse_amount(text: str) -> Amount:
    """Read a decimal number as JSON writes one.

    Raises:
        DecodeError: it is none, or has too many digits before or behind the point.
    """
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        return _parse_long(text)
    sign, whole, part = plain.groups(default="")
    amount = int(whole + part.ljust(_DIGITS, "0"))
    return Amount(-amount if sign else amount)


def format_amount(amount: int) -> str:
    """Give the one text of an amount, or of a sum of amounts."""
    whole, part = divmod(abs(amount), 10**_DIGITS)
    behind = f".{part:0{_DIGITS}}".rstrip("0") if part else ""
    return f"{'-' if amount < 0 else ''}{whole}{behind}"


def _parse_long(text: str) -> Amount:
    """Read what has an exponent or zeros beyond the bounds."""
    if _NUMBER.fullmatch(text) is None:
        raise DecodeError(f"not a decimal number: {text[:80]}")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise DecodeError(f"not a decimal number: {text[:80]}") from None
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "the pattern knows neither infinity nor NaN"
    whole = int("".join(map(str, digits)))
    if whole and len(str(whole)) + exponent > _DIGITS:
        raise DecodeError(f"an amount of more than {_DIGITS} digits before the point")
    amount, rest = divmod(
        whole * 10 ** max(0, exponent + _DIGITS), 10 ** max(0, -exponent - _DIGITS)
    )
    if rest:
        raise DecodeError(f"an amount of more than {_DIGITS} digits behind the point")
    return Amount(-amount if sign else amount)

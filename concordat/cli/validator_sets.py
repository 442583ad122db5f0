"""The validators of the next epoch, out of the present ones, cards of members, and names."""

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from concordat.home import HomeError
from concordat.membership import read_card
from ledger.core.validators import Validator, ValidatorSet

__all__ = ["in_words", "next_set"]

_KEYS = {"key", "peer_key"}


def next_set(
    present: Sequence[Validator], added: Sequence[Path], removed: Sequence[str]
) -> tuple[Validator, ...]:
    """Give the present set without ``removed`` names and with the validators on ``added`` cards.

    A card takes the place of the validator with its name, which so gets new keys or another
    address; one with a new name comes last. Who stays keeps its place among those who stay.

    Raises:
        click.UsageError: it would be no set, or the same one.
        HomeError: a card cannot be read.
    """
    if strangers := set(removed) - {validator.name for validator in present}:
        known = ", ".join(validator.name for validator in present)
        raise click.UsageError(f"no validator is called {min(strangers)}; there are: {known}")
    members = {validator.name: validator for validator in present if validator.name not in removed}
    for path in added:
        validator = _validator_of(path)
        members[validator.name] = validator
    chosen = tuple(members.values())
    if chosen == tuple(present):
        raise click.UsageError("these are the validators already")
    try:
        ValidatorSet(chosen)
    except ValueError as error:
        raise click.UsageError(f"these cannot be the validators: {error}") from None
    return chosen


def in_words(present: Sequence[Validator], chosen: ValidatorSet) -> str:
    """Say what changes between two sets, and what the next one can stand."""
    before = {validator.name: validator for validator in present}
    after = {validator.name: validator for validator in chosen.members}
    groups = {
        "new": [name for name in after if name not in before],
        "changed": [name for name in after if name in before and after[name] != before[name]],
        "removed": [name for name in before if name not in after],
    }
    changes = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in groups.items() if names)
    return (
        f"proposing {len(chosen)} validators ({', '.join(after)}), {chosen.quorum} of them decide, "
        f"{chosen.faulty_max} may fail. {changes or 'another order'}"
    )


def _validator_of(path: Path) -> Validator:
    card = read_card(path)
    try:
        fields = {
            name: bytes.fromhex(str(value)) if name in _KEYS else value
            for name, value in card.validator.items()
        }
        return msgspec.convert([fields[name] for name in Validator.__struct_fields__], Validator)
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise HomeError(f"{path} describes no validator: {error}") from None

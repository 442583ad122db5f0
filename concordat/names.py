"""What a member's validator is called: in the genesis file, or on the card that it handed out."""

from concordat.home import Home, HomeError
from concordat.membership import read_card
from ledger.core.genesis import Genesis
from ledger.core.ids import PublicKey

__all__ = ["validator_name"]


def validator_name(home: Home, genesis: Genesis, key: PublicKey) -> str:
    """Give the name of the validator with this key; the home's directory's where none is known."""
    index = genesis.validator_set().index_of(key)
    if index is not None:
        return genesis.validators[index].name
    try:
        return str(read_card(home.path / "member.json").validator.get("name", home.path.name))
    except HomeError:
        return home.path.name

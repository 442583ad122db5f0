"""Reading all consumers from the delivery store, once, when the gateway begins."""

from ledger.core.errors import DecodeError
from ledger.io.errors import damaged
from pubsub.core.consumer.record import decode_config, decode_letter, decode_state
from pubsub.core.consumer.settlement import DeadLetter
from pubsub.core.consumer.state import ConsumerState
from pubsub.io.consumers.entry import letter_place
from pubsub.io.consumers.waiting import now_ms
from pubsub.io.delivery_store import DeliveryStore

__all__ = ["load_states"]


def load_states(store: DeliveryStore) -> list[tuple[ConsumerState, str]]:
    """Give each consumer's state and owner.

    A consumer that may not be idle for long is idle since now: nobody could use it before.

    Raises:
        StorageError: a row is damaged, or of a newer release.
    """
    positions = dict(store.rows("positions"))
    letters: dict[str, list[DeadLetter]] = {}
    found: list[tuple[ConsumerState, str]] = []
    try:
        for key, value in store.rows("dead_letters"):
            name, sequence = letter_place(key)
            letters.setdefault(name, []).append(decode_letter(sequence, value))
        for key, value in store.rows("consumers"):
            config, owner = decode_config(value)
            state = decode_state(config, positions[key], letters.get(config.name, []))
            state.active_ms = max(state.active_ms, now_ms())
            found.append((state, owner))
    except (DecodeError, KeyError, ValueError) as error:
        raise damaged(store.path, f"a consumer cannot be read: {error}") from error
    return found

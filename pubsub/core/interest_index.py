"""Many interests at once: which of them an event fulfils, without asking each.

Owns no meaning: the answer is always that of asking every interest. Each distinct interest stands
where an event that fulfils it must come by: under values, beginnings or ends of attributes, or on
the paths of topic patterns in a tree of tokens. An event is led to these places by its own values,
and only the interests that stand there are asked. The few interests that have no such place (a
``not``, say) are asked each time.
"""

from collections.abc import Hashable, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

from ledger.core.event import Event
from ledger.core.ids import EventId
from pubsub.core.interest import Attribute, Compare, Filter, Interest
from pubsub.core.interest_match import ATTRIBUTE_TEXTS, Predicate, compile_interest

__all__ = ["InterestIndex"]

K = TypeVar("K", bound=Hashable)


class _Entry(Generic[K]):
    """One distinct interest and who has it."""

    __slots__ = ("keys", "places", "predicate")

    def __init__(self, interest: Interest) -> None:
        self.predicate: Predicate = compile_interest(interest)
        self.places = _places(interest)
        self.keys: dict[K, None] = {}


_Entries = dict[_Entry[K], None]  # a set that keeps its order


class _Place(NamedTuple):
    """Where an event must come by: an attribute has the value, begins or ends with it.

    A topic pattern that is no topic has the dialect ``pattern``.
    """

    dialect: str
    name: Attribute
    value: str


# The smaller, the fewer events come by.
_RANKS: Final[dict[Attribute, int]] = {
    "id": 0,
    "entityhash": 0,
    "previoushash": 0,
    "subject": 0,
    "dataref": 0,
    "time": 0,
    "topic": 1,
    "publisherkey": 2,
    "source": 2,
    "type": 2,
    "tags": 2,
    "datacontenttype": 3,
}
_AFFIX_RANK: Final = 4  # more than any exact value has
_PATTERN_RANK: Final = 8
_NOWHERE: Final = 9


class InterestIndex(Generic[K]):
    """Interests by the keys of those who have them."""

    def __init__(self) -> None:
        self._interests: dict[K, Interest] = {}
        self._entries: dict[Interest, _Entry[K]] = {}
        self._exact: dict[Attribute, dict[str, _Entries[K]]] = {}
        self._affixes: dict[tuple[str, Attribute], _Affixes[K]] = {}
        self._patterns: _Node[K] = _Node()
        self._everywhere: _Entries[K] = {}

    def __len__(self) -> int:
        """Give the number of keys."""
        return len(self._interests)

    def add(self, key: K, interest: Interest) -> None:
        """Say that ``key``, which has no interest so far, has ``interest``."""
        assert key not in self._interests, "a key has one interest"
        self._interests[key] = interest
        entry = self._entries.get(interest)
        if entry is None:
            entry = self._entries[interest] = _Entry(interest)
            if not entry.places:
                self._everywhere[entry] = None
            for place in entry.places:
                self._at(place)[entry] = None
        entry.keys[key] = None

    def remove(self, key: K) -> None:
        """Forget the interest of ``key``, which has one."""
        interest = self._interests.pop(key)
        entry = self._entries[interest]
        del entry.keys[key]
        if entry.keys:
            return
        del self._entries[interest]
        if not entry.places:
            del self._everywhere[entry]
        for place in entry.places:
            self._leave(place, entry)

    def keys(self, event: Event, id_: EventId) -> list[K]:
        """Give the keys whose interests ``event`` fulfils, each once, in no order that counts."""
        found: _Entries[K] = dict(self._everywhere)
        for name, values in self._exact.items():
            for text in _texts(name, event, id_):
                found.update(values.get(text, {}))
        for (dialect, name), affixes in self._affixes.items():
            for text in _texts(name, event, id_):
                affixes.find(text, found, is_prefix=dialect == "prefix")
        self._patterns.find(event.topic.split("."), found)
        return [key for entry in found if entry.predicate(event, id_) for key in entry.keys]

    def _at(self, place: _Place) -> _Entries[K]:
        """Give the entries at a place, making it when there is none."""
        if place.dialect == "exact":
            return self._exact.setdefault(place.name, {}).setdefault(place.value, {})
        if place.dialect == "pattern":
            return self._patterns.at(place.value.split("."))
        affixes = self._affixes.setdefault((place.dialect, place.name), _Affixes())
        return affixes.at(place.value)

    def _leave(self, place: _Place, entry: _Entry[K]) -> None:
        """Take an entry from a place, and the place away when nobody is left."""
        entries = self._at(place)
        del entries[entry]
        if entries:
            return
        if place.dialect == "exact":
            del self._exact[place.name][place.value]
            if not self._exact[place.name]:
                del self._exact[place.name]
        elif place.dialect == "pattern":
            self._patterns.prune(place.value.split("."))
        else:
            self._affixes[place.dialect, place.name].prune(place.value)
            if not self._affixes[place.dialect, place.name].entries:
                del self._affixes[place.dialect, place.name]


class _Affixes(Generic[K]):
    """Entries by the beginning or the end of a text, looked up once for each length there is."""

    __slots__ = ("_lengths", "entries")

    def __init__(self) -> None:
        self.entries: dict[str, _Entries[K]] = {}
        self._lengths: dict[int, int] = {}  # length -> how many values have it

    def at(self, value: str) -> _Entries[K]:
        if value not in self.entries:
            self.entries[value] = {}
            self._lengths[len(value)] = self._lengths.get(len(value), 0) + 1
        return self.entries[value]

    def prune(self, value: str) -> None:
        del self.entries[value]
        self._lengths[len(value)] -= 1
        if not self._lengths[len(value)]:
            del self._lengths[len(value)]

    def find(self, text: str, found: _Entries[K], *, is_prefix: bool) -> None:
        for length in self._lengths:
            if length <= len(text):
                affix = text[:length] if is_prefix else text[len(text) - length :]
                found.update(self.entries.get(affix, {}))


class _Node(Generic[K]):
    """Topic patterns that share their first tokens; ``*`` and ``>`` are tokens like others."""

    __slots__ = ("entries", "next")

    def __init__(self) -> None:
        self.next: dict[str, _Node[K]] = {}
        self.entries: _Entries[K] = {}  # of the pattern that ends here

    def at(self, tokens: list[str]) -> _Entries[K]:
        node = self
        for token in tokens:
            node = node.next.setdefault(token, _Node())
        return node.entries

    def prune(self, tokens: list[str]) -> None:
        """Take away the nodes of a pattern that nobody has any longer."""
        path = [self]
        for token in tokens:
            path.append(path[-1].next[token])
        for parent, token, node in zip(path[-2::-1], tokens[::-1], path[:0:-1], strict=True):
            if node.entries or node.next:
                return
            del parent.next[token]

    def find(self, tokens: list[str], found: _Entries[K]) -> None:
        """Add the entries of every pattern that names the topic of these tokens."""
        level = [self]
        for token in tokens:
            following: list[_Node[K]] = []
            for node in level:
                if not node.next:
                    continue
                if (tail := node.next.get(">")) is not None:
                    found.update(tail.entries)
                following += [
                    branch
                    for branch in (node.next.get(token), node.next.get("*"))
                    if branch is not None
                ]
            level = following
        for node in level:
            found.update(node.entries)


def _texts(name: Attribute, event: Event, id_: EventId) -> tuple[str, ...]:
    return event.tags if name == "tags" else (ATTRIBUTE_TEXTS[name](event, id_),)


def _places(interest: Interest) -> tuple[_Place, ...]:
    """Give the best places by one of which every wanted event must come; none: there are none."""
    options = [_cover(wanted) for wanted in interest.filters]
    if interest.topics:
        options.append([_topic_place(topic) for topic in interest.topics])
    return tuple(dict.fromkeys(min(options, key=_rank, default=[])))


def _topic_place(topic: str) -> _Place:
    is_literal = "*" not in topic and ">" not in topic
    return _Place("exact" if is_literal else "pattern", "topic", topic)


def _cover(wanted: Filter) -> list[_Place]:
    """Give places by one of which every event that fulfils the filter must come."""
    if isinstance(wanted, Compare):
        places = [_Place(wanted.dialect, name, value) for name, value in wanted.values]
        return [min(places, key=_place_rank)]
    if wanted.dialect == "not":
        return []
    covers = [_cover(inner) for inner in wanted.filters]
    if wanted.dialect == "all":
        return min(covers, key=_rank)
    return [place for cover in covers for place in cover] if all(covers) else []


def _rank(places: Iterable[_Place]) -> int:
    return max(map(_place_rank, places), default=_NOWHERE)


def _place_rank(place: _Place) -> int:
    if place.dialect == "pattern":
        return _PATTERN_RANK
    return _RANKS[place.name] + (0 if place.dialect == "exact" else _AFFIX_RANK)

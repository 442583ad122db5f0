"""The numbers that stand for paths in the index.

Owns the table of paths and what of it is kept in memory. A number never changes and is never taken
back, so one that was committed serves every later transaction; one that was not serves only its
own.
"""

from collections.abc import Collection

from sqlalchemy import Connection, insert, select

from adapters.tmf.store.schema import PATHS
from ledger.core.limits import TMF_PATHS_CACHED_MAX, TMF_STATEMENT_ROWS_MAX

__all__ = ["KnownPaths", "PathNumbers"]

KnownPaths = dict[tuple[str, str], int]
"""(resource, path) to number, of committed paths."""


class PathNumbers:
    """The paths as one transaction sees them."""

    def __init__(self, connection: Connection, committed: KnownPaths) -> None:
        self._connection = connection
        self._committed = committed
        self._own: KnownPaths = {}

    def find(self, resource: str, paths: Collection[str]) -> dict[str, int]:
        """Give the numbers of those paths that have one."""
        numbers: dict[str, int] = {}
        missing: list[bytes] = []
        for path in paths:
            key = (resource, path)
            number = self._committed.get(key) or self._own.get(key)
            if number:
                numbers[path] = number
            else:
                missing.append(path.encode())
        for start in range(0, len(missing), TMF_STATEMENT_ROWS_MAX):
            part = missing[start : start + TMF_STATEMENT_ROWS_MAX]
            rows = select(PATHS.c.path, PATHS.c.number).where(
                PATHS.c.resource == resource, PATHS.c.path.in_(part)
            )
            for path_bytes, number in self._connection.execute(rows):
                numbers[path_bytes.decode()] = self._own[resource, path_bytes.decode()] = number
        return numbers

    def add(self, resource: str, paths: Collection[str]) -> dict[str, int]:
        """Give the numbers of all the paths, new ones too."""
        numbers = self.find(resource, paths)
        for path in paths:
            if path not in numbers:
                row = insert(PATHS).values(resource=resource, path=path.encode())
                number = self._connection.execute(row.returning(PATHS.c.number)).scalar_one()
                numbers[path] = self._own[resource, path] = number
        return numbers

    def keep(self) -> None:
        """Remember for later transactions; only after this one was committed."""
        if len(self._committed) + len(self._own) > TMF_PATHS_CACHED_MAX:
            self._committed.clear()
        self._committed.update(self._own)

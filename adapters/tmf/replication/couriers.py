"""One courier for each host that is fetched from, and not too many of them."""

from collections import OrderedDict

import httpx

from ledger.core.limits import REPLICATION_FETCH_MS_MAX, REPLICATION_HOSTS_MAX
from pubsub.io.egress import Courier, Egress, EgressError, Errand, Reply

__all__ = ["Couriers"]


class Couriers:
    """Runs errands to any host that the rules of egress allow; close it in the end."""

    def __init__(self, egress: Egress, deadline_ms: int = REPLICATION_FETCH_MS_MAX) -> None:
        """Prepare; each errand ends before its deadline."""
        self._egress = egress
        self._deadline_ms = deadline_ms
        self._couriers: OrderedDict[str, Courier] = OrderedDict()

    async def run(self, errand: Errand) -> Reply:
        """Send a request. Raises EgressError, Unavailable."""
        try:
            host = httpx.URL(errand.url).netloc.decode("ascii")
        except (httpx.InvalidURL, ValueError) as error:
            raise EgressError(str(error)) from None
        courier = self._couriers.get(host)
        if courier is None:
            courier = self._couriers[host] = Courier(self._egress, self._deadline_ms)
            while len(self._couriers) > REPLICATION_HOSTS_MAX:
                _, oldest = self._couriers.popitem(last=False)
                await oldest.close()
        self._couriers.move_to_end(host)
        return await courier.run(errand)

    async def close(self) -> None:
        """Close all connections."""
        while self._couriers:
            _, courier = self._couriers.popitem()
            await courier.close()

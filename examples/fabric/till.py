"""A till without an event loop: it orders at `checkout.py` from several threads, over one connection.

python till.py [amqp://user:password@host/vhost]
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from ironbridge.fabric import AmqBrokerConnector, ServiceUnavailable


def main(uri: str = "amqp://guest:guest@127.0.0.1/") -> None:
    with AmqBrokerConnector(uri, "shop", "till", "one") as connector, ThreadPoolExecutor(4) as threads:
        checkout = connector.rpc_proxy("shop", "one", "checkout", timeout=10)

        def order(number: int) -> str:
            # On any thread a call waits, and gives what the method returned.
            return checkout.order(customer=f"customer {number}", cents=100 * number)

        try:
            numbers = list(threads.map(order, range(1, 11)))
        except ServiceUnavailable as error:
            # There is no checkout, or nobody takes its orders.
            sys.exit(f"not every order was taken: {error}")
        print(f"{len(set(numbers))} orders taken")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""An accountant: books the orders that `checkout.py` publishes, also those that came while it was away. An order that it
cannot book is tried three times, then laid aside in a queue of its own. Several accountants share the work.

python accountant.py [amqp://user:password@host/vhost]
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys

from ironbridge.fabric import AmqBrokerConnector, IncomingMessage

SUBSCRIBER = "accountant"


class Books:
    def __init__(self) -> None:
        self.booked: dict[str, int] = {}

    def book(self, message: IncomingMessage) -> None:
        """Acknowledged when it returns; tried again when it raises. Plain functions run on a thread, in order."""
        order = message.json()
        if order["cents"] <= 0:
            raise ValueError(f"an order of {order['cents']} cents")
        # A message may come twice, when the connection was lost meanwhile: its number tells.
        self.booked[order["number"]] = order["cents"]
        print(f"booked {order['number']}: {sum(self.booked.values()) / 100:.2f} in all", flush=True)

    def lay_aside(self, message: IncomingMessage) -> None:
        order = message.json()
        print(f"laid aside {order['number']}: somebody must look at it", flush=True)


async def main(uri: str = "amqp://guest:guest@127.0.0.1/") -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)

    failures = itertools.count(1)
    connector = AmqBrokerConnector(
        uri,
        "shop",
        "accounting",
        "one",
        on_error=lambda error, place: print(f"failure {next(failures)} of {place}: {error}", flush=True),
    )
    books = Books()
    async with connector:
        await connector.subscribe_data(
            SUBSCRIBER, {"topic": "order"}, books.book, durable=True, dead_letter=True, max_deliveries=3
        )
        # The queue of what nobody could handle. No message matches any of no headers: nothing else comes into it.
        await connector.subscribe_data(
            f"{SUBSCRIBER}.dead",
            {},
            books.lay_aside,
            match="any",
            durable=True,
            queue=f"{connector.data_exchange}.{SUBSCRIBER}.dead",
        )
        print("booking", flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

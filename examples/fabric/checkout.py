"""A checkout: takes orders by call, and publishes each for whoever books, packs or counts them. Start `accountant.py`
first: an order that nobody would get is refused.

python checkout.py [amqp://user:password@host/vhost]
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import uuid

from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, AmqpHandler

log = logging.getLogger("shop.checkout")


class CheckoutApi(AbstractServiceApi):
    def __init__(self, connector: AmqBrokerConnector) -> None:
        self.connector = connector

    async def order(self, customer: str, cents: int) -> str:
        """Takes an order; its number. Once this has returned, the broker has the order on disk."""
        number = uuid.uuid4().hex
        order = {"number": number, "customer": customer, "cents": cents}
        await self.connector.publish_data(
            json.dumps(order).encode(),
            {"topic": "order"},
            persistent=True,  # it survives a restart of the broker
            mandatory=True,  # it is refused where nobody takes orders
            message_id=number,
        )
        log.info("order %s of %s", number, customer)
        return number


async def main(uri: str = "amqp://guest:guest@127.0.0.1/") -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)

    connector = AmqBrokerConnector(uri, "shop", "checkout", "one", keep_alive_seconds=2)
    async with connector:
        # What this program logs is seen by `ironbridge logs --domain shop`.
        handler = AmqpHandler()
        logging.getLogger("shop").addHandler(handler)
        logging.getLogger("shop").setLevel(logging.INFO)
        await connector.init_logging_handler(handler)
        await connector.rpc_register(CheckoutApi(connector))
        print("taking orders", flush=True)
        await ended.wait()
    # Here running calls have ended, and what was published is confirmed.
    print("closed", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

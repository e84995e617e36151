"""A hub of a dozen lines on pyzmq, as anybody's might be: whatever comes in goes out."""

import sys

import zmq

sender, receiver = sys.argv[1:]
with zmq.Context() as context, context.socket(zmq.PULL) as pull, context.socket(zmq.XPUB) as pub:
    # It drops nothing, so that what is lost is lost elsewhere.
    pull.setsockopt(zmq.RCVHWM, 0)
    pub.setsockopt(zmq.SNDHWM, 0)
    pull.bind(receiver)
    pub.bind(sender)
    zmq.proxy(pull, pub)

"""A service that downloads images and makes them coarse, by OpenCV: `uv run examples/opencv_usage.py`."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests
from ironbridge.mesh import BaseService, Broker, MoleculerClientError, MoleculerServerError, action
from simple_usage import REDIS_URL, cli, setup_logging

OUTPUT = Path("opencv_output")
BLOCKS = 32
"""How many squares an image is wide."""
MOST = 32 << 20
"""Bytes of an image that are downloaded at most."""
PATIENCE = 20
"""Seconds for a download to go on."""


class OpenCVService(BaseService):
    """Works on images. Its action is a plain function: it runs on a thread, and the broker goes on meanwhile."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker, "opencv-service")

    @action(params={"url": "url", "blocks": {"type": "number", "integer": True, "min": 1, "default": BLOCKS}})
    def pixelate(self, params: dict[str, Any]) -> str:
        """Downloads an image and makes it coarse; the path of what it has written."""
        image = decoded(downloaded(params["url"]))
        height, width = image.shape[:2]
        blocks = min(params["blocks"], width)
        small = cv2.resize(image, (blocks, max(1, round(height * blocks / width))), interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
        OUTPUT.mkdir(exist_ok=True)
        path = OUTPUT / f"pixelated-{uuid.uuid4().hex[:8]}.png"
        if not cv2.imwrite(str(path), coarse):
            raise MoleculerServerError(f"{path} could not be written", 500, "NOT_WRITTEN")
        return str(path)


def downloaded(url: str) -> bytes:
    """What is at a URL."""
    try:
        with requests.get(url, timeout=PATIENCE, stream=True) as response:
            response.raise_for_status()
            data = b""
            for part in response.iter_content(1 << 16):
                data += part
                if len(data) > MOST:
                    raise MoleculerClientError(f"{url}: more than {MOST} bytes", 413, "TOO_LARGE")
    except requests.RequestException as error:
        raise MoleculerClientError(f"{url} could not be downloaded: {error}", 422, "NOT_DOWNLOADED") from error
    return data


def decoded(data: bytes) -> np.ndarray:
    """An image's pixels."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise MoleculerClientError("that is no image that OpenCV can read", 422, "NO_IMAGE")
    return image


async def main() -> None:
    """Serves, and reads what is to be done."""
    setup_logging()
    broker = Broker(os.environ.get("NODE_ID", "opencv-node-1"), redis_url=REDIS_URL)
    OpenCVService(broker)
    async with broker:
        await cli(broker)


if __name__ == "__main__":
    asyncio.run(main())

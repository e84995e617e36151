"""The same endpoint on FastAPI alone."""

from fastapi import FastAPI
from pydantic import BaseModel


class Item(BaseModel):
    id: int
    name: str
    tags: list[str]


def plain() -> FastAPI:
    """One endpoint."""
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> Item:
        return Item(id=item_id, name="thing", tags=["a", "b"])

    return app

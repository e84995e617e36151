"""Pages of results, and what is asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from .. import const
from .criteria import FilterModel, SortModel

T = TypeVar("T")
R = TypeVar("R")

Page = Annotated[int, Field(ge=0)]
PageSize = Annotated[int, Field(gt=0, le=const.PAGINATION_MAX_PAGE_SIZE)]


class PaginatedFilter(BaseModel):
    """Which page, of what size, in which order, of what. The first version's `offset` and `limit` say it, too."""

    page: Page = const.PAGINATION_DEFAULT_PAGE
    page_size: PageSize = const.PAGINATION_DEFAULT_PAGE_SIZE
    sort_models: list[SortModel] = []
    filter_models: list[FilterModel] = []

    _beyond: int = PrivateAttr(0)

    @model_validator(mode="wrap")
    @classmethod
    def _from_offset(cls, given: Any, validated: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, dict) or not ("offset" in given or "limit" in given) or "page" in given:
            return validated(given)
        told = dict(given)
        limit, offset = int(told.pop("limit", const.PAGINATION_DEFAULT_PAGE_SIZE)), int(told.pop("offset", 0))
        told.setdefault("page_size", limit)
        told["page"], beyond = divmod(offset, limit) if limit > 0 else (0, 0)
        found = validated(told)
        found._beyond = beyond
        return found

    @property
    def offset(self) -> int:
        """How many come before the page; an `offset` that was given need not be where one begins."""
        return self.page * self.page_size + self._beyond

    @property
    def limit(self) -> int:
        """How many are on it at most."""
        return self.page_size


class Paginated(BaseModel, Generic[T]):
    """A page.

    Attributes:
        items: what is on it.
        total: how many are.
        unpaginated_total: how many there are on all pages.
        total_pages: how many pages there are.
    """

    items: list[T]
    total: int
    unpaginated_total: int
    total_pages: int

    @property
    def unfiltered_total(self) -> int:
        """`unpaginated_total`, as the first version called it."""
        return self.unpaginated_total

    def transform(self, function: Callable[[T], R]) -> Paginated[R]:
        """The page with each item changed."""
        return self._with([function(item) for item in self.items])

    async def transform_async(self, function: Callable[[T], Awaitable[R]], gather: bool = False) -> Paginated[R]:
        """The same by an asynchronous function; all at once when `gather`."""
        if gather:
            return self._with(list(await asyncio.gather(*(function(item) for item in self.items))))
        return self._with([await function(item) for item in self.items])

    def __rshift__(self, function: Callable[[T], R]) -> Paginated[R]:
        """`page >> function` is `page.transform(function)`."""
        return self.transform(function)

    def _with(self, items: list[R]) -> Paginated[R]:
        return Paginated[Any](
            items=items,
            total=self.total,
            unpaginated_total=self.unpaginated_total,
            total_pages=self.total_pages,
        )


TotalType = Literal["total_over", "count_subquery"]

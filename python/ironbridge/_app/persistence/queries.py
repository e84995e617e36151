"""Queries: a page of entities, filtered, sorted and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from .criteria import (
    DateCriteria,
    FilterRuleApplier,
    SortRuleApplier,
    Statement,
    StringCriteria,
    date_condition,
    string_condition,
)
from .entities import BaseEntity
from .paginated import Paginated, PaginatedFilter, TotalType
from .sessions import use_session

E = TypeVar("E", bound=BaseEntity)
F = TypeVar("F", bound=PaginatedFilter)

Interceptor = Callable[[Statement], Statement]


class QueryInjector(Protocol):
    """Changes a query as a filter says."""

    def inject(self, query: Statement, filter: Any) -> Statement:
        """The query, changed."""


class DateOrderedFilter(BaseModel):
    """In which order of time."""

    order_by: Literal["asc", "desc"] = "asc"


class DateOrderedQueryInjector:
    """Sorts entities by when they were made."""

    def __init__(self, entity: Any) -> None:
        self._entity = entity

    def inject(self, query: Statement, filter: DateOrderedFilter) -> Statement:
        """The query, sorted."""
        column = self._entity.created_at
        return query.order_by(column.desc() if filter.order_by == "desc" else column.asc())


class CriteriaBasedAttributeQueryInjector:
    """Filters by the attributes of a filter that are criteria: each says something of the entity's of its name."""

    def __init__(self, entity: Any) -> None:
        self._entity = entity

    def inject(self, query: Statement, filter: BaseModel) -> Statement:
        """The query, filtered."""
        for name in type(filter).model_fields:
            criteria, column = getattr(filter, name), getattr(self._entity, name, None)
            if column is None:
                continue
            if isinstance(criteria, StringCriteria):
                query = query.where(string_condition(column, criteria))
            elif isinstance(criteria, DateCriteria):
                query = query.where(date_condition(column, criteria))
        return query


class PaginatedQueryInjector:
    """Takes a filter's page out of a query."""

    def inject(self, query: Statement, filter: PaginatedFilter) -> Statement:
        """The query, for one page."""
        return query.limit(filter.limit).offset(filter.offset)


class SortFilterRunner:
    """Sorts and filters as a filter's `sort_models` and `filter_models` say."""

    def __init__(
        self, sort_rule_applier: SortRuleApplier | None = None, filter_rule_applier: FilterRuleApplier | None = None
    ) -> None:
        self._sort, self._filter = sort_rule_applier, filter_rule_applier

    def inject(self, query: Statement, filter: PaginatedFilter) -> Statement:
        """The query, sorted and filtered.

        Raises:
            ValueError: a field or an operator is not allowed.
        """
        if self._sort is not None:
            query = self._sort.create_query_for_sorting_list(query, filter.sort_models)
        if self._filter is not None:
            query = self._filter.create_query_for_filter_list(query, filter.filter_models)
        return query


class QueryOperations(Generic[F, E]):
    """Pages of entities.

    Args:
        entity_type: the entities' type.
        session_provider: gives the session.
        filters_functions: what changes each query as its filter says.
        unique: whether rows that joins have multiplied count once.
        sort_rule_applier, filter_rule_applier: what clients may sort and filter by.
        base_statement: what is queried; all entities unless given.
    """

    def __init__(
        self,
        entity_type: type[E],
        session_provider: Callable[[], AsyncSession] = use_session,
        filters_functions: Sequence[QueryInjector] = (),
        *,
        unique: bool = False,
        sort_rule_applier: SortRuleApplier | None = None,
        filter_rule_applier: FilterRuleApplier | None = None,
        base_statement: Select[Any] | None = None,
    ) -> None:
        self.entity_type, self._provider, self._injectors = entity_type, session_provider, filters_functions
        self._unique, self._base = unique, base_statement
        self._runner = SortFilterRunner(sort_rule_applier, filter_rule_applier)

    @property
    def session(self) -> AsyncSession:
        """The session of the unit of work that runs now."""
        return self._provider()

    async def query(
        self,
        filter: F,
        *,
        interceptors: Sequence[Interceptor] = (),
        base_statement: Select[Any] | None = None,
        final_listing_statement: Interceptor | None = None,
        total_type: TotalType = "total_over",
    ) -> Paginated[E]:
        """One page.

        Args:
            filter: which.
            interceptors: what changes this query.
            base_statement: what is queried, in place of the usual.
            final_listing_statement: what changes the query for the page alone, not that for its count.
            total_type: how the count is taken: beside the page's rows, or by a query of its own.

        Raises:
            ValueError: the filter asks for what is not allowed.
        """
        statement = base_statement if base_statement is not None else self._base
        statement = statement if statement is not None else select(self.entity_type)
        for injector in self._injectors:
            if not isinstance(injector, PaginatedQueryInjector):
                statement = injector.inject(statement, filter)
        for interceptor in interceptors:
            statement = interceptor(statement)
        statement = self._runner.inject(statement, filter)
        listing = final_listing_statement(statement) if final_listing_statement is not None else statement
        page = listing.limit(filter.limit).offset(filter.offset)
        if total_type == "total_over" and not self._unique:
            rows = (await self.session.execute(page.add_columns(func.count().over()))).all()
            items, count = [row[0] for row in rows], int(rows[0][-1]) if rows else None
        else:
            found = (await self.session.execute(page)).scalars()
            items, count = list(found.unique() if self._unique else found), None
        if count is None:
            # A page behind the last one has no rows to tell it.
            count = await self._count(statement)
        pages = ceil(count / filter.limit)
        return Paginated[Any](items=items, total=len(items), unpaginated_total=count, total_pages=pages)

    async def _count(self, statement: Statement) -> int:
        of = statement.order_by(None).with_only_columns(*self.entity_type.__mapper__.primary_key)
        distinct = of.distinct() if self._unique else of
        return int(await self.session.scalar(select(func.count()).select_from(distinct.subquery())) or 0)

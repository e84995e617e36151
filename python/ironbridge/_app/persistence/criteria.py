"""Sorting and filtering by what a client asks: fields that are allowed, and operators that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Select, and_, func, not_, or_
from sqlalchemy.sql import ColumnElement

from ..errors import FilterError

Statement = Select[Any]

FILTER_SORT_ENTITY_ATTR_MAP = Mapping[str, Any]


class SortModel(BaseModel):
    """By which field, in which direction."""

    field: str
    direction: Literal["asc", "desc"] = "asc"


class FilterModel(BaseModel):
    """What a field is to be: the operators are those of MUI's data grid."""

    field: str
    operator: str
    value: Any = ""


class StringCriteria(BaseModel):
    """What a text is to be, or to contain."""

    value: str
    is_exact: bool = False
    case_sensitive: bool = False


class DateCriteria(BaseModel):
    """What a time is to be."""

    value: datetime
    op: Literal["eq", "gt", "lt", "gte", "lte"] = "eq"


class SortRuleApplier:
    """Sorts by fields of clients' names.

    Args:
        allowed: the column, or a function of it, by the field's name.
    """

    def __init__(self, allowed: FILTER_SORT_ENTITY_ATTR_MAP) -> None:
        self._allowed = allowed

    def create_query_for_sorting_list(self, query: Statement, sort_models: list[SortModel]) -> Statement:
        """The statement, sorted.

        Raises:
            ValueError: a field is none of those that are allowed.
        """
        for one in sort_models:
            column = column_of(self._allowed, one.field)
            query = query.order_by(column.desc() if one.direction == "desc" else column.asc())
        return query


class FilterRuleApplier:
    """Filters by fields of clients' names.

    Args:
        allowed: the column, or a function of it, by the field's name.
    """

    def __init__(self, allowed: FILTER_SORT_ENTITY_ATTR_MAP) -> None:
        self._allowed = allowed

    def create_query_for_filter_list(self, query: Statement, filter_models: list[FilterModel]) -> Statement:
        """The statement, filtered.

        Raises:
            ValueError: a field is none of those that are allowed, an operator is unknown, or a value does not fit.
        """
        for one in filter_models:
            condition = condition_of(column_of(self._allowed, one.field), one.operator, one.value)
            if condition is not None:
                query = query.where(condition)
        return query


def column_of(allowed: Mapping[str, Any], field: str) -> Any:
    """The column of a field.

    Raises:
        ValueError: it is none of those that are allowed.
    """
    if field not in allowed:
        raise FilterError(f"{field!r} is none of the fields {', '.join(sorted(allowed))}")
    return allowed[field]


def condition_of(column: Any, operator: str, value: Any) -> ColumnElement[bool] | None:
    """What an operator says of a column; `None` when its value is yet to be typed.

    Raises:
        ValueError: it is unknown, or the value does not fit the column.
    """
    if operator in ("isEmpty", "isNotEmpty"):
        is_empty = or_(column.is_(None), column == "") if _type_of(column) is str else column.is_(None)
        return is_empty if operator == "isEmpty" else not_(is_empty)
    if operator not in _OPERATORS:
        known = ", ".join([*_OPERATORS, "isEmpty", "isNotEmpty"])
        raise FilterError(f"{operator!r} is none of the operators {known}")
    if value is None or value == "" or value == []:
        return None
    return _OPERATORS[operator](column, value)


def _one(column: Any, value: Any) -> Any:
    """A client's value as the column's."""
    kind = _type_of(column)
    try:
        if kind is bool:
            return value if isinstance(value, bool) else {"true": True, "false": False}[str(value).lower()]
        if kind in (int, float, Decimal, UUID):
            return kind(str(value))
        if kind is datetime:
            return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        if kind is date:
            return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
    except (ValueError, KeyError, ArithmeticError) as error:
        raise FilterError(f"{value!r} is no {kind.__name__}") from error
    return value


def _type_of(column: Any) -> Any:
    try:
        return column.type.python_type
    except (AttributeError, NotImplementedError):
        return str


def _text(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _like(pattern: str) -> Callable[[Any, Any], ColumnElement[bool]]:
    return lambda column, value: column.ilike(pattern.replace("?", _text(value)), escape="\\")


def _compared(name: str) -> Callable[[Any, Any], ColumnElement[bool]]:
    return lambda column, value: getattr(column, name)(_one(column, value))


def _any_of(column: Any, value: Any) -> ColumnElement[bool]:
    listed = value if isinstance(value, list | tuple) else str(value).split(",")
    condition: ColumnElement[bool] = column.in_([_one(column, one) for one in listed])
    return condition


_OPERATORS: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "contains": _like("%?%"),
    "doesNotContain": lambda column, value: not_(_like("%?%")(column, value)),
    "equals": _compared("__eq__"),
    "doesNotEqual": _compared("__ne__"),
    "startsWith": _like("?%"),
    "endsWith": _like("%?"),
    "isAnyOf": _any_of,
    "is": _compared("__eq__"),
    "not": _compared("__ne__"),
    "after": _compared("__gt__"),
    "onOrAfter": _compared("__ge__"),
    "before": _compared("__lt__"),
    "onOrBefore": _compared("__le__"),
    "=": _compared("__eq__"),
    "!=": _compared("__ne__"),
    ">": _compared("__gt__"),
    "<": _compared("__lt__"),
    ">=": _compared("__ge__"),
    "<=": _compared("__le__"),
}


def string_condition(column: Any, criteria: StringCriteria) -> ColumnElement[bool]:
    """What a text is to be, or to contain; in any case of letters, unless it says otherwise."""
    condition: ColumnElement[bool]
    if criteria.is_exact:
        condition = (
            column == criteria.value if criteria.case_sensitive else func.lower(column) == criteria.value.lower()
        )
        return condition
    pattern = f"%{_text(criteria.value)}%"
    condition = (column.like if criteria.case_sensitive else column.ilike)(pattern, escape="\\")
    return condition


def date_condition(column: Any, criteria: DateCriteria) -> ColumnElement[bool]:
    """What a time is to be."""
    names = {"eq": "__eq__", "gt": "__gt__", "lt": "__lt__", "gte": "__ge__", "lte": "__le__"}
    return and_(getattr(column, names[criteria.op])(criteria.value))

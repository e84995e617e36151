"""Columns of JSON that hold pydantic models. What is stored may be older than the model: it is validated when it is asked
for, so that one row that does not fit any more spoils no query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, JsonValue, ValidationError
from sqlalchemy import JSON, Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

M = TypeVar("M", bound=BaseModel)
E = TypeVar("E")


class ValidatedJSON(Generic[M]):
    """What a column holds.

    Args:
        raw: as it is stored.
        model_type: what it is to be.
    """

    __slots__ = ("model_type", "raw")

    def __init__(self, raw: dict[str, Any] | None, model_type: type[M]) -> None:
        self.raw, self.model_type = raw, model_type

    def get(self) -> M:
        """The model.

        Raises:
            pydantic.ValidationError: what is stored does not fit it, nothing included.
        """
        return self.model_type.model_validate(self.raw)

    def get_or_none(self) -> M | None:
        """The model; `None` where nothing is stored.

        Raises:
            pydantic.ValidationError: what is stored does not fit it.
        """
        return None if self.raw is None else self.get()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValidatedJSON) and (self.raw, self.model_type) == (other.raw, other.model_type)

    __hash__ = None  # type: ignore[assignment] # what it holds can change

    def __repr__(self) -> str:
        return f"ValidatedJSON({self.raw!r}, {self.model_type.__name__})"


class PydanticJSONB(TypeDecorator[Any]):
    """The type of such a column: `JSONB` at PostgreSQL, JSON elsewhere.

        settings: Mapped[ValidatedJSON[Settings]] = mapped_column(PydanticJSONB(Settings))

    A model, or a `ValidatedJSON`, is stored; a `ValidatedJSON` is read.

    Args:
        pydantic_type: the model.
    """

    impl = JSON
    cache_ok = True

    def __init__(self, pydantic_type: type[BaseModel], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, none_as_null=True, **kwargs)
        self.pydantic_type = pydantic_type

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """What the database has."""
        kind = JSONB(none_as_null=True) if dialect.name == "postgresql" else JSON(none_as_null=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """What is stored of a model."""
        if isinstance(value, ValidatedJSON):
            return value.raw
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value

    def process_result_value(self, value: Any, dialect: Dialect) -> ValidatedJSON[Any]:
        """What is read."""
        return ValidatedJSON(value, self.pydantic_type)


class ValidRow(BaseModel, Generic[M]):
    """A row that fits."""

    row_id: UUID
    value: M


class InvalidRow(BaseModel):
    """A row that does not.

    Attributes:
        row_id: the row's.
        raw: what is stored.
        error: why it does not fit.
    """

    row_id: UUID
    raw: JsonValue
    error: str


class SchemaValidationReport(BaseModel, Generic[M]):
    """Which rows fit the model of today."""

    valid: list[ValidRow[M]]
    invalid: list[InvalidRow]


def partition_by_schema_validity(
    rows: Sequence[E], field_accessor: Callable[[E], ValidatedJSON[M]], id_accessor: Callable[[E], UUID]
) -> SchemaValidationReport[M]:
    """Tells which rows fit, before a model is changed or after: nothing is raised.

    Args:
        rows: entities.
        field_accessor: gives the column of one.
        id_accessor: gives the id of one.
    """
    report: SchemaValidationReport[M] = SchemaValidationReport(valid=[], invalid=[])
    for row in rows:
        held, row_id = field_accessor(row), id_accessor(row)
        try:
            report.valid.append(ValidRow(row_id=row_id, value=held.get()))
        except ValidationError as wrong:
            report.invalid.append(InvalidRow(row_id=row_id, raw=held.raw, error=str(wrong)))
    return report

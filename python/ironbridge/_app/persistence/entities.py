"""Entities: SQLAlchemy's models, and pydantic models of the same fields."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, Self, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import DateTime, Uuid
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

T_BASEMODEL = TypeVar("T_BASEMODEL", bound=BaseModel)
T = TypeVar("T")
R = TypeVar("R")


class WithParseEntity(Protocol):
    """A model that can be made of an entity."""

    @classmethod
    def parse_entity(cls, entity: Any) -> Any:
        """The model of it."""


class BaseEntity(AsyncAttrs, DeclarativeBase):
    """The base of entities."""

    @classmethod
    def from_basemodel(cls, model: BaseModel) -> Self:
        """An entity with what it has in common with a model."""
        names = set(cls.__mapper__.column_attrs.keys())
        return cls(**{name: getattr(model, name) for name in type(model).model_fields if name in names})

    def to_basemodel(self, model: type[T_BASEMODEL]) -> T_BASEMODEL:
        """A model of what it has in common with this."""
        return model.model_validate(self, from_attributes=True)

    def __rshift__(self, function: Callable[[Self], R]) -> R:
        """`entity >> function` is `function(entity)`."""
        return function(self)

    def __and__(self, model: type[WithParseEntity]) -> Any:
        """`entity & Model` is `Model.parse_entity(entity)`."""
        return model.parse_entity(self)


class IdentifiableEntity(BaseEntity):
    """An entity with an id."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)

    @classmethod
    def from_identifiable(cls, model: Identifiable[Any]) -> Self:
        """An entity of an `Identifiable`."""
        entity = cls.from_basemodel(model.data)
        entity.id = model.id
        return entity

    def to_identifiable(self, model: type[T_BASEMODEL]) -> Identifiable[T_BASEMODEL]:
        """An `Identifiable` of it."""
        return Identifiable[model](id=self.id, data=self.to_basemodel(model))  # type: ignore[valid-type]


def _now() -> datetime:
    return datetime.now(UTC)


class DatedEntity(BaseEntity):
    """An entity that knows when it was made and changed."""

    __abstract__ = True

    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now, onupdate=_now)


class Identifiable(BaseModel, Generic[T]):
    """Something with its id."""

    id: UUID
    data: T

    @staticmethod
    def instance(id: UUID, data: T) -> Identifiable[T]:
        """One of the type of what it holds."""
        generic: Any = Identifiable
        made: Identifiable[T] = generic[type(data)](id=id, data=data)
        return made

"""CRUD: what is done with entities one by one, and by their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy import delete, exists, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession

from .entities import IdentifiableEntity
from .sessions import use_session

E = TypeVar("E", bound=IdentifiableEntity)


class CRUDOperations(Generic[E]):
    """Makes, finds, changes and removes entities of a type.

    Args:
        entity_type: the type.
        session_provider: gives the session; `use_session` unless given.
    """

    def __init__(self, entity_type: type[E], session_provider: Callable[[], AsyncSession] = use_session) -> None:
        self.entity_type, self._provider = entity_type, session_provider

    @property
    def session(self) -> AsyncSession:
        """The session of the unit of work that runs now."""
        return self._provider()

    async def create(self, entity: E) -> E:
        """Adds one, and gives it with what the database has filled in."""
        self.session.add(entity)
        await self.session.flush()
        await self.session.refresh(entity)
        return entity

    async def get(self, id: Any) -> E:
        """The one of an id.

        Raises:
            NoResultFound: there is none.
        """
        found = await self.session.get(self.entity_type, id)
        if found is None:
            raise NoResultFound(f"there is no {self.entity_type.__name__} of the id {id}")
        return found

    async def get_many(self, ids: Iterable[Any]) -> list[E]:
        """Those of some ids that are there."""
        found = await self.session.scalars(select(self.entity_type).where(self.entity_type.id.in_(list(ids))))
        return list(found)

    async def update(self, entity: E) -> E:
        """Takes over the state of one that may belong to no session."""
        return await self.session.merge(entity)

    async def update_by_id(self, id: Any, changes: BaseModel | Mapping[str, Any] | E) -> None:
        """Changes some columns of the one of an id: those that a model was given, or that a dict has.

        Raises:
            NoResultFound: there is none.
        """
        if isinstance(changes, BaseModel):
            values: dict[str, Any] = changes.model_dump(exclude_unset=True)
        elif isinstance(changes, Mapping):
            values = dict(changes)
        else:
            columns = self.entity_type.__mapper__.column_attrs.keys()
            values = {name: changes.__dict__[name] for name in columns if name in changes.__dict__}
        values.pop("id", None)
        if not values:
            await self.get(id)
            return
        statement = update(self.entity_type).where(self.entity_type.id == id).values(**values)
        done: Any = await self.session.execute(statement)
        if done.rowcount == 0:
            raise NoResultFound(f"there is no {self.entity_type.__name__} of the id {id}")

    async def delete(self, entity: E) -> None:
        """Removes one."""
        await self.session.delete(entity)
        await self.session.flush()

    async def delete_by_id(self, id: Any) -> None:
        """Removes the one of an id, if it is there."""
        await self.session.execute(delete(self.entity_type).where(self.entity_type.id == id))

    async def exists(self, id: Any) -> bool:
        """Whether there is one of an id."""
        found = await self.session.scalar(select(exists().where(self.entity_type.id == id)))
        return bool(found)

    async def exists_some(self, ids: Iterable[Any]) -> bool:
        """Whether there is one of any of some ids."""
        return bool(await self.intersects(ids))

    async def exists_all(self, ids: Iterable[Any]) -> bool:
        """Whether there is one of each of some ids."""
        return not await self.difference(ids)

    async def intersects(self, ids: Iterable[Any]) -> set[Any]:
        """Those of some ids that are there."""
        found = await self.session.scalars(select(self.entity_type.id).where(self.entity_type.id.in_(list(ids))))
        return set(found)

    async def difference(self, ids: Iterable[Any]) -> set[Any]:
        """Those of some ids that are not there."""
        wanted = set(ids)
        return wanted - await self.intersects(wanted)

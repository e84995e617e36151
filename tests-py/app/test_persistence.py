"""Databases: a transaction for each unit of work, CRUD, and pages of what is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from harness import Postgres
from ironbridge.app import (
    AIOSQAConfig,
    AIOSqlAlchemySessionInterceptor,
    BaseEntity,
    CriteriaBasedAttributeQueryInjector,
    CRUDOperations,
    DatedEntity,
    DateOrderedFilter,
    DateOrderedQueryInjector,
    FilterModel,
    FilterRuleApplier,
    Get,
    Identifiable,
    IdentifiableEntity,
    Microservice,
    Paginated,
    PaginatedFilter,
    PydanticJSONB,
    QueryOperations,
    RestController,
    SortModel,
    SortRuleApplier,
    StringCriteria,
    ValidatedJSON,
    create_http_server,
    create_tables,
    partition_by_schema_validity,
    providing_new_session,
    providing_session,
    skip_persistence_session,
    use_session,
    use_transaction,
)
from pydantic import BaseModel, ValidationError
from sqlalchemy import Column, Integer, MetaData, Numeric, Table, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column


class Thing(BaseModel):
    name: str
    size: int = 1
    price: Decimal | None = None


class ThingEntity(IdentifiableEntity, DatedEntity):
    __tablename__ = "things"

    name: Mapped[str]
    size: Mapped[int]
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))


class Asked(PaginatedFilter, DateOrderedFilter):
    name: StringCriteria | None = None


things = CRUDOperations(ThingEntity)


@asynccontextmanager
async def database(path: Path | None = None) -> AsyncIterator[AsyncSession]:
    """A session of a new database."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path or ':memory:'}")
    async with engine.begin() as connection:
        await connection.run_sync(BaseEntity.metadata.create_all)
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin() as transaction:
        with providing_session(session, transaction):
            yield session
    await engine.dispose()


async def made(*names: str) -> list[ThingEntity]:
    return [await things.create(ThingEntity.from_basemodel(Thing(name=name, size=len(name)))) for name in names]


async def test_entities_are_made_found_changed_and_removed() -> None:
    async with database():
        (one,) = await made("one")
        assert one >> (lambda entity: entity.name) == "one"
        assert one.created_at.tzinfo is not None or one.created_at <= datetime.now(UTC).replace(tzinfo=None)
        assert (await things.get(one.id)).to_basemodel(Thing) == Thing(name="one", size=3)
        found = one.to_identifiable(Thing)
        assert (found, found.id) == (Identifiable.instance(one.id, Thing(name="one", size=3)), one.id)
        await things.update_by_id(one.id, {"size": 9})
        await use_session().refresh(one)
        assert one.size == 9
        await things.delete_by_id(one.id)
        assert not await things.exists(one.id)
        with pytest.raises(NoResultFound):
            await things.get(one.id)
        with pytest.raises(NoResultFound):
            await things.update_by_id(one.id, Thing(name="two"))


async def test_sets_of_ids_are_compared_with_what_is_there() -> None:
    async with database():
        one, two = await made("one", "two")
        other = uuid4()
        assert await things.exists_all([one.id, two.id]) and not await things.exists_all([one.id, other])
        assert await things.exists_some([other, two.id]) and not await things.exists_some([other])
        assert await things.intersects([one.id, other]) == {one.id}
        assert await things.difference([one.id, other]) == {other}
        assert {entity.name for entity in await things.get_many([one.id, two.id])} == {"one", "two"}


queries = QueryOperations[Asked, ThingEntity](
    ThingEntity,
    filters_functions=[DateOrderedQueryInjector(ThingEntity), CriteriaBasedAttributeQueryInjector(ThingEntity)],
    sort_rule_applier=SortRuleApplier({"size": ThingEntity.size}),
    filter_rule_applier=FilterRuleApplier(
        {"name": ThingEntity.name, "size": ThingEntity.size, "price": ThingEntity.price}
    ),
)


@pytest.mark.parametrize("total_type", ["total_over", "count_subquery"])
async def test_a_page_tells_how_many_there_are_in_all_even_behind_the_last(total_type: Any) -> None:
    async with database():
        await made(*(f"thing {number:02}" for number in range(25)))
        page = await queries.query(Asked(page=2, page_size=10), total_type=total_type)
        assert [item.name for item in page.items] == [f"thing {number}" for number in range(20, 25)]
        assert (page.total, page.unpaginated_total, page.total_pages) == (5, 25, 3)
        behind = await queries.query(Asked(page=9, page_size=10), total_type=total_type)
        assert (behind.items, behind.total, behind.unpaginated_total, behind.total_pages) == ([], 0, 25, 3)


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("contains", "EE", ["three"]),
        ("contains", "%", []),
        ("startsWith", "t", ["two", "three"]),
        ("endsWith", "o", ["two"]),
        ("equals", "one", ["one"]),
        ("doesNotEqual", "one", ["two", "three", ""]),
        ("isAnyOf", ["one", "two"], ["one", "two"]),
        ("isEmpty", "", [""]),
        ("isNotEmpty", "", ["one", "two", "three"]),
        ("contains", "", ["one", "two", "three", ""]),
    ],
)
async def test_texts_are_filtered(operator: str, value: Any, expected: list[str]) -> None:
    async with database():
        await made("one", "two", "three", "")
        wanted = FilterModel(field="name", operator=operator, value=value)
        page = await queries.query(Asked(filter_models=[wanted]))
        assert sorted(item.name for item in page.items) == sorted(expected)


@pytest.mark.parametrize(("operator", "value", "count"), [("=", "3", 1), (">", "2", 2), ("<=", 3, 1), ("!=", "3", 1)])
async def test_numbers_are_filtered(operator: str, value: Any, count: int) -> None:
    async with database():
        await made("one", "three")
        page = await queries.query(Asked(filter_models=[FilterModel(field="size", operator=operator, value=value)]))
        assert page.unpaginated_total == count


async def test_what_is_not_allowed_is_refused() -> None:
    async with database():
        for field, operator, value in [
            ("id", "=", "1"),
            ("name", "like", "x"),
            ("size", "=", "many"),
            ("price", ">", "x"),
        ]:
            with pytest.raises(ValueError):
                await queries.query(Asked(filter_models=[FilterModel(field=field, operator=operator, value=value)]))
        with pytest.raises(ValueError, match="none of the fields size"):
            await queries.query(Asked(sort_models=[SortModel(field="name")]))


async def test_pages_are_sorted_and_changed() -> None:
    async with database():
        await made("one", "three", "ab")
        page = await queries.query(Asked(sort_models=[SortModel(field="size", direction="desc")], order_by="asc"))
        assert (page >> (lambda entity: entity.size)).total == 3
        criteria = StringCriteria(value="ONE", is_exact=True)
        exact = await queries.query(Asked(name=criteria))
        assert [entity.name for entity in exact.items] == ["one"]
        assert not (await queries.query(Asked(name=criteria.model_copy(update={"case_sensitive": True})))).items


def test_a_filter_may_say_offset_and_limit() -> None:
    asked = PaginatedFilter.model_validate({"offset": 20, "limit": 10})
    assert (asked.page, asked.page_size, asked.offset, asked.limit) == (2, 10, 20, 10)
    assert Paginated[int](items=[1], total=1, unpaginated_total=5, total_pages=5).unfiltered_total == 5


@pytest.mark.parametrize(
    ("args", "given"),
    [
        (("default", "sqlite+aiosqlite://"), {}),
        (("sqlite+aiosqlite://", "default"), {}),
        (("sqlite+aiosqlite://",), {}),
        ((), {"connection_name": "default", "url": "sqlite+aiosqlite://"}),
    ],
)
def test_a_database_is_named_in_either_order(args: Any, given: Any) -> None:
    config = AIOSQAConfig(*args, **given)
    assert (config.connection_name, config.url, config.inject_default) == ("default", "sqlite+aiosqlite://", True)


# ---- within an application ---------------------------------------------------------------------------------


@RestController("/things")
class Things:
    @Get("/make")
    async def make(self, name: str, fail: bool = False) -> int:
        await made(name)
        if fail:
            raise RuntimeError("not after all")
        return 1

    @Get("/apart")
    async def apart(self) -> None:
        async with providing_new_session("one"):
            await CRUDOperations(ThingEntity, lambda: use_session("one")).create(ThingEntity(name="apart", size=1))
        raise RuntimeError("that much stays")

    @Get("/both")
    async def both(self) -> list[str]:
        use_transaction("one")
        names = []
        for name in ("one", "other"):
            bind: Any = use_session(name).get_bind()
            names.append(Path(bind.url.database).name)
        return names

    @Get("/none")
    @skip_persistence_session("one")
    @skip_persistence_session("other")
    async def none(self) -> str:
        with pytest.raises(LookupError, match="no session"):
            use_session("one")
        return "none"


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Any]:
    import httpx

    interceptors = [
        AIOSqlAlchemySessionInterceptor(AIOSQAConfig(name, f"sqlite+aiosqlite:///{folder / name}"))
        for name in ("one", "other")
    ]
    for interceptor in interceptors:
        async with interceptor.engine.begin() as connection:
            await connection.run_sync(BaseEntity.metadata.create_all)
    application = create_http_server(Microservice(controllers=[Things], interceptors=interceptors))
    async with application.router.lifespan_context(application):
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            yield client


async def names_in(path: Path) -> list[str]:
    async with database(path) as session:
        return list(await session.scalars(select(ThingEntity.name)))


async def test_each_name_is_its_own_database(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        assert (await client.get("/things/both")).json() == ["one", "other"]
        assert (await client.get("/things/none")).json() == "none"


async def test_a_session_of_its_own_is_committed_whatever_becomes_of_the_request(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        assert (await client.get("/things/apart")).status_code == 500
    assert await names_in(tmp_path / "one") == ["apart"]


class Settings(BaseModel):
    colour: str
    size: int = 1


class HolderEntity(IdentifiableEntity):
    __tablename__ = "holders"

    settings: Mapped[ValidatedJSON[Settings]] = mapped_column(PydanticJSONB(Settings), nullable=True)


async def test_a_column_holds_a_model_that_is_validated_when_it_is_asked_for() -> None:
    async with database() as session:
        one = HolderEntity(settings=Settings(colour="red", size=2))
        again = HolderEntity(settings=ValidatedJSON({"colour": "blue"}, Settings))
        none = HolderEntity(settings=None)
        session.add_all([one, again, none])
        await session.flush()
        old = HolderEntity(settings=ValidatedJSON({"color": "green"}, Settings))
        session.add(old)
        await session.flush()
        session.expunge_all()
        rows = {row.id: row for row in (await session.scalars(select(HolderEntity))).all()}
        assert rows[one.id].settings.get() == Settings(colour="red", size=2)
        assert rows[again.id].settings.get_or_none() == Settings(colour="blue")
        assert rows[none.id].settings.get_or_none() is None
        assert await session.scalar(text("SELECT count(*) FROM holders WHERE settings IS NULL")) == 1
        with pytest.raises(ValidationError, match="colour"):
            rows[old.id].settings.get()
        report = partition_by_schema_validity(list(rows.values()), lambda row: row.settings, lambda row: row.id)
        assert {valid.row_id: valid.value.colour for valid in report.valid} == {one.id: "red", again.id: "blue"}
        wrong = {invalid.row_id: (invalid.raw, "colour" in invalid.error) for invalid in report.invalid}
        assert wrong[old.id] == ({"color": "green"}, True) and wrong.keys() == {old.id, none.id}


def test_a_column_of_models_is_jsonb_at_postgresql() -> None:
    kind = PydanticJSONB(Settings)
    assert str(kind.compile(dialect=postgresql.dialect())) == "JSONB"
    assert str(kind.compile(dialect=sqlite.dialect())) == "JSON"


async def test_several_processes_make_the_same_tables_at_once() -> None:
    metadata = MetaData()
    for number in range(5):
        Table(f"made_at_once_{number}", metadata, Column("id", Integer, primary_key=True))
    with Postgres() as postgres:
        engines = [create_async_engine(postgres.url()) for _ in range(6)]
        await asyncio.gather(*(create_tables(engine, metadata) for engine in engines))
        async with engines[0].connect() as connection:
            found = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        assert set(found) == set(metadata.tables)
        wrong = MetaData()
        Table("made", wrong, Column("id", Integer, primary_key=True), schema="nowhere")
        with pytest.raises(DBAPIError, match="nowhere"):
            await create_tables(engines[0], wrong)
        for engine in engines:
            await engine.dispose()


def test_an_offset_that_begins_no_page_is_where_the_rows_begin() -> None:
    asked = PaginatedFilter.model_validate({"offset": 7, "limit": 5})
    assert (asked.offset, asked.limit, PaginatedFilter(page=2, page_size=5).offset) == (7, 5, 10)

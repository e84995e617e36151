"""What is injected, and how it comes to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Optional

import pytest
from ironbridge.app import (
    Container,
    CyclicDependencyError,
    DependencyError,
    Microservice,
    ProviderSpec,
    Token,
)
from ironbridge.errors import ConfigurationError


@dataclass(frozen=True)
class Config:
    name: str


class Repository:
    def __init__(self, config: Config) -> None:
        self.config = config


class Service:
    def __init__(self, repository: Repository, retries: int = 3, cache: Optional[dict[str, str]] = None) -> None:  # noqa: UP045 - as users write it
        self.repository, self.retries, self.cache = repository, retries, cache


async def filled(*providers: Any) -> Container:
    container = Container(Microservice(providers=list(providers)))
    await container.fill_providers(after_interceptors=False)
    return container


async def test_a_class_is_made_once_of_what_its_constructor_asks_for() -> None:
    container = await filled(ProviderSpec(provide=Config, use_value=Config("one")))
    service = container.get_by_type(Service)
    assert service.repository.config == Config("one")
    assert container.get_by_type(Service) is service
    assert container.get_by_type(Repository) is service.repository


async def test_parameters_with_defaults_keep_them_where_nothing_is_registered() -> None:
    container = await filled(ProviderSpec(provide=Config, use_value=Config("one")))
    service = container.get_by_type(Service)
    assert (service.retries, service.cache) == (3, None)


async def test_what_is_optional_and_not_there_is_none() -> None:
    class Needs:
        def __init__(self, config: Config | None) -> None:
            self.config = config

    class Port:
        def __init__(self, number: int) -> None:
            self.number = number

    class Wants:
        def __init__(self, port: int | None) -> None:
            self.port = port

    container = await filled(ProviderSpec(provide=Config, use_value=Config("one")))
    assert container.call(Needs).config == Config("one")
    assert container.call(Wants).port is None
    with pytest.raises(DependencyError, match="'number'"):
        container.get_by_type(Port)


@pytest.mark.parametrize("value", [0, "", [], None, False])
async def test_a_value_may_be_any_value(value: Any) -> None:
    container = await filled(ProviderSpec(provide=Token(object, "VALUE"), use_value=value))
    assert container.get_by_token(Token(object, "VALUE")) == value


async def test_a_value_comes_before_a_class_and_a_class_before_a_factory() -> None:
    class Other(Repository):
        pass

    spec = ProviderSpec(
        provide=Config, use_value=Config("value"), use_class=Config, use_factory=lambda: Config("factory")
    )
    assert (await filled(spec)).get_by_type(Config) == Config("value")
    spec = ProviderSpec(provide=Repository, use_class=Other, use_factory=lambda: Repository(Config("factory")))
    made = await filled(spec, ProviderSpec(provide=Config, use_value=Config("one")))
    assert isinstance(made.get_by_type(Repository), Other)


async def test_a_factory_gets_its_parameters_and_may_be_async() -> None:
    async def connect(config: Config) -> Repository:
        return Repository(Config(f"{config.name}, connected"))

    container = await filled(
        ProviderSpec(provide=Repository, use_factory=connect), ProviderSpec(provide=Config, use_value=Config("one"))
    )
    assert container.get_by_type(Service).repository.config == Config("one, connected")


async def test_tokens_of_one_type_are_told_apart_by_their_names() -> None:
    class Both:
        def __init__(
            self, first: Annotated[Config, Token(Config, "FIRST")], second: Annotated[Config, Token(Config, "SECOND")]
        ) -> None:
            self.names = first.name, second.name

    container = await filled(
        ProviderSpec(provide=Token(Config, "FIRST"), use_value=Config("one")),
        ProviderSpec(provide=Token.create(Config, "SECOND"), use_value=Config("two")),
    )
    assert container.get_by_type(Both).names == ("one", "two")


async def test_a_token_without_a_name_is_its_type() -> None:
    container = await filled(ProviderSpec(provide=Token[Config], use_value=Config("one")))
    assert container.get_by_type(Config) == Config("one")
    assert container.get_by_token(Token[Config]) == Config("one")  # type: ignore[arg-type]


async def test_a_class_among_the_providers_is_made_at_the_start() -> None:
    container = await filled(Repository, ProviderSpec(provide=Config, use_value=Config("one")))
    assert isinstance(container.instances_map[Repository], Repository)


class Left:
    def __init__(self, right: Right) -> None: ...


class Right:
    def __init__(self, left: Left) -> None: ...


async def test_things_that_need_each_other_are_refused_with_the_cycle() -> None:
    container = await filled()
    with pytest.raises(CyclicDependencyError, match="Left → Right → Left"):
        container.get_by_type(Left)
    with pytest.raises(CyclicDependencyError, match="Right → Left → Right"):
        await filled(Right)


async def test_what_cannot_be_made_is_told_with_who_needs_it() -> None:
    class Needy:
        def __init__(self, name: str) -> None: ...

    with pytest.raises(DependencyError, match=r"Needy needs 'name': str.*ProviderSpec"):
        (await filled()).get_by_type(Needy)


def test_a_provider_that_says_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="use_value, use_class or use_factory"):
        ProviderSpec(provide=Config)

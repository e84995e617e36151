"""The settings' interceptor: models that are read from the environment at start-up, and provided under their tokens."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel, ValidationError

from ...errors import ConfigurationError
from ..core.container import Container
from ..core.contexts import AppTransactionContext
from ..core.microservice import Microservice
from ..core.providing import key_name
from ..reflect.decorators import StackableDecorator

Parser = Callable[[Mapping[str, str], type[BaseModel]], BaseModel]


class AppConfigValidationError(ConfigurationError):
    """Settings are missing or wrong; the message tells all of them, and no value.

    Attributes:
        errors: what is wrong, by the name of each token.
    """

    def __init__(self, errors: Mapping[str, ValidationError]) -> None:
        lines = [
            f"{name}: {'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}"
            for name, error in errors.items()
            for one in error.errors(include_input=False, include_url=False)
        ]
        super().__init__("the environment does not say what the application needs:\n  " + "\n  ".join(lines))
        self.errors = dict(errors)


def FromEnv(environment: Mapping[str, str], model: type[BaseModel]) -> BaseModel:
    """A model of the variables that have its fields' names, or aliases, in capitals or as they are.

    Raises:
        ValidationError: they are not what the model takes.
    """
    given: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        for key in (field.alias, name, name.upper()):
            if key is not None and key in environment:
                given[field.alias or name] = environment[key]
                break
    return model.model_validate(given)


class RequiresConfig(StackableDecorator):
    """Has a controller's settings be read, too.

    Args:
        token: the key that they are provided under.
        model: their model.
    """

    def __init__(self, token: Any, model: type[BaseModel]) -> None:
        self.token, self.model = token, model


class AppConfigurationInterceptor:
    """Reads settings at start-up, before all that comes after it in the list of interceptors.

    Args:
        global_configs: `(token, model)` each.
        config_parser: makes a model of the environment.
    """

    def __init__(
        self, global_configs: Sequence[tuple[Any, type[BaseModel]]] = (), config_parser: Parser = FromEnv
    ) -> None:
        self._configs, self._parse = list(global_configs), config_parser

    @asynccontextmanager
    async def lifecycle(self, app: Microservice, container: Container) -> AsyncIterator[None]:
        """Reads them all.

        Raises:
            AppConfigValidationError: some are missing or wrong.
        """
        wanted = list(self._configs)
        for controller in app.controllers:
            wanted += [(one.token, one.model) for one in RequiresConfig.get_all_from_type(controller)]
        errors: dict[str, ValidationError] = {}
        for token, model in wanted:
            try:
                container.register(self._parse(os.environ, model), token)
            except ValidationError as error:
                errors[key_name(token)] = error
        if errors:
            raise AppConfigValidationError(errors)
        yield

    @asynccontextmanager
    async def intercept(self, app_context: AppTransactionContext) -> AsyncIterator[None]:
        """Does nothing: settings stay as they are."""
        yield

"""Controllers and their members, with the metadata that decorators gave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .metadata import SetMetadata, TransactionMetadata


@dataclass(frozen=True)
class ControllerReflect:
    """A controller's class.

    Attributes:
        controller_class: the class.
        metadata: what `SetMetadata` gave it.
    """

    controller_class: type[Any]
    metadata: Mapping[str, TransactionMetadata] = field(default_factory=dict)


@dataclass(frozen=True)
class ControllerMemberReflect:
    """A method of a controller.

    Attributes:
        controller_reflect: the controller's.
        member_function: the function.
        metadata: what `SetMetadata` gave it, and its controller.
    """

    controller_reflect: ControllerReflect
    member_function: Callable[..., Any]
    metadata: Mapping[str, TransactionMetadata] = field(default_factory=dict)


def controller_of(controller: type[Any]) -> ControllerReflect:
    """A controller's class, as its decorators tell of it."""
    told = {
        one.key: TransactionMetadata(one.value, inherited_from_controller=True)
        for one in SetMetadata.get_all_from_type(controller)
    }
    return ControllerReflect(controller, told)


def member_of(controller: type[Any], name: str) -> ControllerMemberReflect:
    """A controller's method, as its decorators tell of it."""
    of = controller_of(controller)
    own = {
        one.key: TransactionMetadata(one.value, inherited_from_controller=False)
        for one in SetMetadata.get_all_from_method(controller, name)
    }
    return ControllerMemberReflect(of, getattr(controller, name), {**of.metadata, **own})

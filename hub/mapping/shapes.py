"""What each canonical field takes, read from the models."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from hub.errors import MappingSpecError
from hub.mapping.source import unknown
from hub.models import KINDS, Model


@dataclass(frozen=True)
class Shape:
    """What a field takes.

    Attributes:
        name: the field.
        annotation: the type, as the model says it.
        model: the model one value is made of, if it has parts.
        open: one value is an object with any names.
        many: it takes a list of such values.
        required: the model refuses to do without.
    """

    name: str
    annotation: Any
    model: type[Model] | None = None
    open: bool = False
    many: bool = False
    required: bool = False

    @property
    def item(self) -> Shape:
        """The shape of one value of the list."""
        if not self.many or self.annotation is Any:
            return self
        return Shape(self.name, get_args(_bare(self.annotation))[0], self.model, self.open)

    @property
    def words(self) -> tuple[str, ...]:
        """The only values it takes, if they can be listed."""
        bare = _bare(self.annotation)
        if get_origin(bare) is Literal:
            return get_args(bare)
        return tuple(bare) if isinstance(bare, type) and issubclass(bare, Enum) else ()

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)

    def check(self, constant: Any) -> None:
        """Nothing, when the field takes this constant.

        Raises:
            MappingSpecError: it does not.
        """
        try:
            self._adapter.validate_python(constant)
        except ValidationError as exc:
            if self.words and isinstance(constant, str):
                message, hint = unknown(self.name, constant, self.words)
            else:
                message, hint = f"{constant!r} does not fit {self.name}", exc.errors()[0]["msg"]
            raise MappingSpecError(message, hint=hint) from exc


def anything(name: str) -> Shape:
    """What a freely named part takes."""
    return Shape(name, Any, open=True, many=True)


KIND = Shape("kind", Literal[tuple(KINDS)])


@cache
def shapes(model: type[Model]) -> dict[str, Shape]:
    """The fields of a model by name."""
    return {
        name: _shape(name, field.rebuild_annotation(), required=field.is_required())
        for name, field in model.model_fields.items()
    }


def _shape(name: str, annotation: Any, *, required: bool) -> Shape:
    bare = _bare(annotation)
    many = get_origin(bare) is tuple
    if many:
        bare = _bare(get_args(bare)[0])
    model = bare if isinstance(bare, type) and issubclass(bare, Model) else None
    return Shape(name, annotation, model, get_origin(bare) is dict, many, required)


def _bare(annotation: Any) -> Any:
    """The type without None and without constraints."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return _bare(next(arg for arg in get_args(annotation) if arg is not type(None)))
    return annotation

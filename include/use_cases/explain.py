"""Says what is wrong with a user's file: file, field, and how to mend it."""

import difflib
import json
import re
import traceback
from collections.abc import Iterable, Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from include.contracts import use_case as contracts
from include.contracts.errors import PolicyError
from include.contracts.use_case import UseCase

FOLDER = Path(__file__).parent
BY_KIND = ("missing", "is_instance_of", "time_delta_type", "tuple_type", "enum", "model_type", "string_type")
"""Types of pydantic's errors for which the kind of the field says more than pydantic's own words."""


class DeclarationError(PolicyError):
    """A mistake in a use case's folder. `component` is file and field, `cause` got and expected."""

    def __str__(self) -> str:
        return f"{self.component}\n  {self.cause}\n  {self.next_step}"

    @classmethod
    def of(cls, name: str, module: str, field: str, cause: str) -> "DeclarationError":
        """The error of one field of `include/use_cases/<name>/<module>.py`."""
        return cls(f"{_file(name, module)}: {field}", cause, _next_step(name))

    @classmethod
    def missing(cls, name: str, known: list[str]) -> "DeclarationError":
        """The error of a use case that is not there."""
        near = _did_you_mean(name, known) or f"; known: {', '.join(known) or 'none'}"
        step = f"Make it with: python -m include.use_cases new {name} (--help says how)"
        return cls(_file(name, "use_case"), f"no such file{near}", step)


def explain(error: BaseException, name: str, module: str) -> DeclarationError:
    """Put an exception from importing a user's file into words.

    Args:
        error: What the import raised.
        name: Folder of the use case.
        module: File without suffix, such as `use_case`.
    """
    if isinstance(error, ValidationError):
        first, *others = [_field(error, item) for item in error.errors(include_url=False)]
        more = [f"\n{_file(name, module)}: {field}\n  {cause}" for field, cause in others]
        return DeclarationError.of(name, module, first[0], first[1] + "".join(more))
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(FOLDER):
        source = (error.text or "").strip()
        return DeclarationError.of(name, Path(error.filename).stem, f"line {error.lineno}", f"{error.msg}: {source}")
    if isinstance(error, ModuleNotFoundError) and (error.name or "").endswith(f"{name}.{module}"):
        return DeclarationError.of(name, module, "the file", "no such file")
    said = re.sub(r" \(/\S+\)$", "", str(error))  # an ImportError names the path of this machine
    word = next(iter(re.findall(r"(?:import name|name) '(\w+)'", said)), "")
    cause = f"{type(error).__name__}: {said}{_did_you_mean(word, dir(contracts))}"
    return DeclarationError.of(name, module, _line(error, name, module), cause)


def _file(name: str, module: str) -> str:
    return f"include/use_cases/{name}/{module}.py"


def _next_step(name: str) -> str:
    others = sorted(path.parent.name for path in FOLDER.glob("*/use_case.py") if path.parent.name != name)
    named = " and ".join([*others[:2], f"{len(others) - 2} more"] if len(others) > 3 else others)
    spared = f"{named} {'is' if len(others) == 1 else 'are'} not affected. " if others else ""
    return f"{spared}Check again with: python -m include.use_cases check {name}"


def _line(error: BaseException, name: str, module: str) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(_file(name, module))]
    return f"line {frames[-1].lineno}" if frames else "import"


def _field(error: ValidationError, item: Any) -> tuple[str, str]:
    """Path of the field from UseCase on, and the sentence about it."""
    loc = [part for part in item["loc"] if isinstance(part, int) or part not in ("binary", "regression")]
    model = _models().get(error.title)
    prefix = model[0] if model else error.title
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return prefix + field, _sentence(item, _owner(model[1] if model else None, loc[:-1]), str(loc[-1]) if loc else "")


def _sentence(item: Any, owner: type[BaseModel] | None, field: str) -> str:
    fields = owner.model_fields if owner else {}
    if item["type"] == "extra_forbidden":
        hint = _did_you_mean(field, fields) or f"; known: {', '.join(fields)}"
        return f"got an unknown field{hint}"
    got = "nothing" if item["type"] == "missing" else _shown(item["input"])
    known = fields.get(field)
    if item["type"] == "value_error":
        return f"got {got}: {item['ctx']['error']}"
    return f"got {got}, expected {_expected(item, known.annotation if known else None)}"


def _expected(item: Any, annotation: Any) -> str:
    if item["type"] == "tuple_type" and isinstance(item["input"], str):
        return f'a tuple, such as ("{item["input"]}",)'
    if item["type"] in BY_KIND:
        described = next((text for text in map(_described, _unwrapped(annotation)) if text), "")
        if described:
            return described
    message = str(item["msg"]).removeprefix("Input should be ").replace("String should match pattern", "text like")
    return re.sub(r"^(greater|less) than", r"a value \1 than", message)


def _described(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return 'a tuple, such as ("first", "second")'
    if not isinstance(kind, type):
        return ""
    if issubclass(kind, timedelta):
        return "a timedelta, such as timedelta(days=7)"
    if issubclass(kind, Enum):
        return "one of " + ", ".join(f"{kind.__name__}.{member.name}" for member in kind)
    if issubclass(kind, BaseModel):
        return f"{kind.__name__}(...)"
    return {"str": 'text in quotes, such as "flights"'}.get(kind.__name__, "")


def _unwrapped(annotation: Any) -> Iterator[Any]:
    """The plain types in an annotation: those of a union, and what Annotated wraps."""
    if get_origin(annotation) is Annotated:
        yield from _unwrapped(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for choice in get_args(annotation):
            yield from _unwrapped(choice)
    elif get_origin(annotation) is not Literal:
        yield annotation


def _models(model: type[BaseModel] = UseCase, path: str = "UseCase") -> dict[str, tuple[str, type[BaseModel]]]:
    """Every model within the declaration by class name, with the path that leads to it."""
    found = {model.__name__: (path, model)}
    for name, field in model.model_fields.items():
        for kind in _unwrapped(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= _models(kind, f"{path}.{name}")
    return found


def _owner(model: type[BaseModel] | None, path: list[Any]) -> type[BaseModel] | None:
    """The model at the end of `path`, where the path leads through models."""
    for part in path:
        field = model.model_fields.get(str(part)) if model else None
        kinds = list(_unwrapped(field.annotation)) if field else []
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return model


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close and close[0] != word else ""


def _shown(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""Secrets among the settings: which there are, and reading them from files.

Docker and Kubernetes hand a secret to a process as a file. Beside every secret setting there is
therefore one with `_file` at its end, which names such a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticCustomError

_SUFFIX = "_file"
_MAX_BYTES = 65_536
"""More than any password, and little enough to read a file that was named by mistake."""


def secret_fields(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The path of every secret setting, e.g. `("redis", "url")`."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if kind is SecretStr:
            yield (name,)
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from ((name, *rest) for rest in secret_fields(kind))


def secrets_of(settings: BaseModel) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path and value of every secret setting that is not empty."""
    for path in secret_fields(type(settings)):
        value: Any = settings
        for name in path:
            value = getattr(value, name)
        if secret := value.get_secret_value():
            yield path, secret


def with_secrets_from_files(model: type[BaseModel], given: Any) -> Any:
    """`given`, the raw settings of `model`, with the contents of files in place of their names.

    Raises PydanticCustomError, which names the setting and the file, and never shows a content.
    """
    for path in secret_fields(model):
        given = _read_into(given, path, ".".join(path))
    return given


def _read_into(given: Any, path: tuple[str, ...], setting: str) -> Any:
    """A copy of `given` in which the secret at `path` was read, where a file is named for it."""
    if not isinstance(given, Mapping):
        return given
    name, *rest = path
    if rest:
        inner = given.get(name)
        return {**given, name: _read_into(inner, tuple(rest), setting)} if inner else given
    file = given.get(name + _SUFFIX)
    if file is None:
        return given
    others = {key: value for key, value in given.items() if key != name + _SUFFIX}
    if not file:  # a variable that is set to nothing, as compose files do
        return others
    if _is_given(given.get(name)):
        raise PydanticCustomError(
            "secret_twice", "{setting} and {setting}_file are both given", {"setting": setting}
        )
    return {**others, name: _read(Path(str(file)), setting + _SUFFIX)}


def _is_given(secret: Any) -> bool:
    return bool(secret.get_secret_value() if isinstance(secret, SecretStr) else secret)


def _read(file: Path, setting: str) -> str:
    """The content without the line end that editors and `echo` put behind it."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
        secret = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise _unusable(setting, file, error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise _unusable(setting, file, "it is not UTF-8 text") from None
    if not secret:
        raise _unusable(setting, file, "it is empty")
    if len(content) > _MAX_BYTES:
        raise _unusable(setting, file, f"it is larger than {_MAX_BYTES:,} bytes")
    return secret


def _unusable(setting: str, file: Path, why: str) -> PydanticCustomError:
    return PydanticCustomError(
        "secret_file",
        "{setting} names {file}, which cannot be used: {why}",
        {"setting": setting, "file": str(file), "why": why},
    )

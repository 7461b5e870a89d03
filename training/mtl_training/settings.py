"""Configurations are frozen dataclasses, read from TOML; an unknown key is fatal."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from mtl_training.errors import ConfigError

T = TypeVar("T")


class Settings:
    """Base of the frozen dataclasses that are read from files: they refuse unknown keys."""

    __pydantic_config__ = ConfigDict(extra="forbid")


def load_config(kind: type[T], path: Path) -> T:
    """Read a configuration from TOML.

    Raises:
        ConfigError: The file is not TOML, or a key is unknown, missing or of the wrong type.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise ConfigError(f"{path}: {err}") from err
    return parse_config(kind, fields, str(path))


def parse_config(kind: type[T], fields: Any, where: str) -> T:
    """Build a configuration from plain types, such as `config_fields` gives.

    Raises:
        ConfigError: A key is unknown, missing or of the wrong type; `where` stands before it.
    """
    try:
        # By way of JSON, in which a list may be a tuple and a whole number a float, but no more.
        return TypeAdapter(kind).validate_json(json.dumps(fields), strict=True)
    except ValidationError as err:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors())
        raise ConfigError(f"{where}: {'; '.join(faults)}") from err
    except ConfigError as err:
        raise ConfigError(f"{where}: {err}") from err


def config_fields(config: Any) -> dict[str, Any]:
    """A configuration as plain types, for the record beside a result."""
    fields: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
    return fields

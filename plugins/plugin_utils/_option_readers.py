# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of filters and actions: read as a person or a survey writes them, with the option's name in each error.

A template, a survey or `-e name=value` turns numbers, booleans and lists into text, so each reader takes the text, too.
A blank text is an option that is not set. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain


class Option(t.NamedTuple):
    """How an option is read, and its value when it is not set. `read(name, value)` raises InvalidInput.

    `blank`: whether a blank text is a value of its own.
    """

    read: t.Callable[[str, t.Any], t.Any]
    default: t.Any = None
    blank: bool = False


def read_options(readers: t.Mapping[str, Option], given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the value of every option of `readers`: as given, or its default.

    Raises InvalidInput for a name that `readers` lack, with the nearest name, and for what a reader refuses.
    """
    for name in given:
        if name not in readers:
            near = difflib.get_close_matches(str(name), readers, 1)
            raise InvalidInput(
                f"There is no option {name}.",
                do=f"Did you mean {near[0]}?" if near else f"The options are {', '.join(readers)}.",
            )
    values = {}
    for name, option in readers.items():
        value = given.get(name)
        unset = value is None or (value == "" and not option.blank)
        values[name] = option.default if unset else option.read(name, value)
    return values


def texts(option: str, value: t.Any) -> tuple[str, ...]:
    """Read a text or a list of texts."""
    if isinstance(value, str):
        return (str(value),)
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int)) for item in value):
        for index, item in enumerate(value):
            if not str(item).strip():
                raise InvalidInput(f"{option}[{index}] is blank.", do="Take it out, or write what is meant.")
        return tuple(str(item) for item in value)
    raise InvalidInput(f"{option} must be a text or a list of texts, not {shown(value)}.")


def listed_texts(option: str, value: t.Any) -> tuple[str, ...]:
    """Read a list of texts, or one text with commas between them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return texts(option, value)


def text(option: str, value: t.Any) -> str:
    """Read a text. A number (`1.30` without quotes) is refused, because YAML has already changed it."""
    if not isinstance(value, str):
        raise InvalidInput(f"{option} must be a text, not {shown(value)}.", do="Put it into quotes.")
    return str(value)


def number(option: str, value: t.Any, least: float = 0.0) -> float:
    """Read a number, not below `least`."""
    try:
        read = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        read = float("nan")
    if not least <= read < float("inf"):
        raise InvalidInput(f"{option} must be a number of at least {least:g}, not {shown(value)}.")
    return read


def whole_number(option: str, value: t.Any, least: int = 0) -> int:
    """Read a whole number, not below `least`."""
    read = number(option, value, least)
    if read != int(read):
        raise InvalidInput(f"{option} must be a whole number, not {shown(value)}.")
    return int(read)


def flag(option: str, value: t.Any) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "yes", "false", "no"):
        return value.lower() in ("true", "yes")
    raise InvalidInput(f"{option} must be true or false, not {shown(value)}.")


def mapping(option: str, value: t.Any) -> dict[str, t.Any]:
    """Read a dictionary."""
    if not isinstance(value, t.Mapping):
        raise InvalidInput(f"{option} must be a dictionary, not {shown(value)}.")
    return t.cast(dict[str, t.Any], plain(value))


def dictionaries(option: str, value: t.Any) -> list[dict[str, t.Any]]:
    """Read a list of dictionaries."""
    read = plain(value)
    if not isinstance(read, (list, tuple)) or not all(isinstance(item, dict) for item in read):
        raise InvalidInput(f"{option} must be a list of dictionaries, not {shown(value)}.")
    return list(read)


def one_of(*choices: str) -> t.Callable[[str, t.Any], str]:
    """Return a reader of one of these texts."""

    def read(option: str, value: t.Any) -> str:
        if str(value) not in choices:
            raise InvalidInput(f"{option} is {shown(value)}, but must be one of {', '.join(choices)}.")
        return str(value)

    return read


def shown(value: t.Any) -> str:
    """Return a value as an error shows it: at most 60 characters."""
    written = repr(plain(value))
    return written if len(written) <= 60 else f"{written[:57]}..."

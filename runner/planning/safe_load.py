"""Parses YAML and TOML into plain data, in bounded time and memory for any text.

A short text can expand to very large data: aliases of aliases, a list that contains itself, a key
with 100 000 parts. Sweeps are validated by `runner.planning.sweepfile`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Hashable, Iterable
from typing import Any

import yaml

MOST_VALUES = 1_000_000
MOST_DOTS = 500  # the TOML reader's memory grows with the square of a key's parts
QUOTED = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # no path and no database takes these
LARGEST = 1 << 63


class StrictLoader(yaml.SafeLoader):
    """YAML loader for plain values; duplicate keys are errors.

    The loader in C is faster, but crashes on deeply nested text.
    """

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping. Raises ConstructorError for a duplicate key."""
        if not isinstance(node, yaml.MappingNode):  # such as a list tagged !!set
            raise yaml.constructor.ConstructorError(
                None, None, "expected a mapping here", node.start_mark
            )
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r:.60} is used twice", key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep=deep)


def load(text: str, suffix: str) -> Any:
    """Parse a text into plain data. Raises ValueError, YAMLError or RecursionError."""
    if suffix == ".toml":
        if any(line.count(".") > MOST_DOTS for line in QUOTED.sub("''", text).splitlines()):
            raise ValueError(f"a line has more than {MOST_DOTS} dots outside of quotes")
        data: Any = tomllib.loads(text)
    else:
        data = yaml.load(text, StrictLoader)
    count_values(data, {})
    return data


def count_values(value: Any, known: dict[int, int]) -> int:
    """Return the number of values, with aliases expanded.

    Raises ValueError for too many values, for data that contains itself, and for values that
    SQLite or a path cannot store.
    """
    if isinstance(value, str) and UNSTORABLE.search(value):
        raise ValueError(f"a text holds an invalid character: {value!r:.60}")
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        raise ValueError("a number is too large")
    if not isinstance(value, dict | list | tuple | set):
        return 1
    if id(value) in known:
        if not known[id(value)]:
            raise ValueError("a list or mapping contains itself")
        return known[id(value)]
    known[id(value)] = 0
    parts: Iterable[Any] = [*value, *value.values()] if isinstance(value, dict) else value
    total = 1 + sum(count_values(part, known) for part in parts)
    if total > MOST_VALUES:
        raise ValueError(f"it expands to more than {MOST_VALUES:,} values")
    known[id(value)] = total
    return total

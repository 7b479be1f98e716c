"""`learning_rate_mapping`: learning rates by patterns of names, as groups of the recipe."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

#: Names of parameters behind the encoder or within a Router: `2_Dense.linear.weight`,
#: `query_0_Transformer.embeddings.LayerNorm.bias`.
_OF_MODULE = re.compile(r"(?:(?P<route>[^.]+)_)?(?P<index>\d+)_(?P<kind>[A-Za-z]+)\.(?P<rest>.+)")


#: Beginnings of the names of a head.
_HEADS = ("classifier.", "pre_classifier.", "head.")

#: Prefixes of encoders with a head that are not their type.
_PREFIXES = {"camembert": "roberta", "modernbert": "model", "xlm-roberta": "roberta"}


def read_mapping(mapping: Any) -> dict[str, float]:
    """Return the argument, which may be JSON.

    Raises:
        ValueError: If it is not a dictionary.
    """
    expected = (
        "The `learning_rate_mapping` argument must be a dictionary mapping parameter name regular expressions "
        "to learning rates. A stringified dictionary also works."
    )
    try:
        found = json.loads(mapping) if isinstance(mapping, str) else mapping or {}
    except ValueError:
        raise ValueError(expected) from None
    if not isinstance(found, Mapping):
        raise ValueError(expected)
    return {str(pattern): float(rate) for pattern, rate in found.items()}


def groups_of(
    mapping: Mapping[str, float], parameters: Sequence[str], model_type: str | None = None
) -> list[dict[str, Any]]:
    """Return the groups of the recipe that give parameters the rates of a mapping.

    ``model_type`` is that of the encoder's `config.json`. A pattern is searched in the name that a parameter has in the reference. As in the reference, the
    last pattern that matches counts.

    Raises:
        ValueError: If a pattern is not a regular expression, or matches no parameter.
    """
    prefix = _prefix(parameters, model_type)
    names = {name: reference_name(name, prefix) for name in parameters}
    rates: dict[str, str] = {}
    for pattern in mapping:
        try:
            matching = [name for name, theirs in names.items() if re.search(pattern, theirs)]
        except re.error as error:
            raise ValueError(f"learning_rate_mapping: {pattern!r} is not a regular expression: {error}") from error
        if not matching:
            raise ValueError(
                f"No parameters found matching the pattern {pattern!r} in the model. Please check the pattern and "
                f"ensure it matches some of the model's parameters, such as {list(names.values())[-1]!r}."
            )
        rates |= dict.fromkeys(matching, pattern)
    groups = []
    for pattern, rate in mapping.items():
        own = [name for name in parameters if rates.get(name) == pattern]
        groups += [{"pattern": each, "learning_rate": rate} for each in _wildcards(own, parameters)]
    return groups


def reference_name(name: str, prefix: str = "") -> str:
    """Return the name that a parameter has among those of a loss in the reference. ``prefix`` is that
    of an encoder with a head."""
    found = _OF_MODULE.fullmatch(name)
    if found is None and name.startswith("embedding."):
        return f"model.0.{name}"
    if found is None:
        return f"model.0.model.{name if name.startswith(_HEADS) else prefix + name}"
    rest = f"model.{found['rest']}" if found["kind"] == "Transformer" else found["rest"]
    if found["route"] is None:
        return f"model.{found['index']}.{rest}"
    return f"model.0.sub_modules.{found['route']}.{found['index']}.{rest}"


def _prefix(parameters: Sequence[str], model_type: str | None) -> str:
    if model_type is None or not any(name.startswith(_HEADS) for name in parameters):
        return ""
    return f"{_PREFIXES.get(model_type, model_type)}."


def _wildcards(names: list[str], parameters: Sequence[str]) -> list[str]:
    """Return patterns of a recipe that match these parameters and no others."""
    beginning = os.path.commonprefix(names)
    if len(names) > 1 and [name for name in parameters if name.startswith(beginning)] == names:
        return [f"{beginning}*"]
    return names

"""The OpenAPI document, against what it is made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from node.light.endpoints import ENDPOINTS, STATUSES
from node.light.examples import EXAMPLES
from node.light.openapi import document
from tallynet.records import Lot
from tools.explanations import EXPLANATIONS

DOCUMENT = document(ENDPOINTS)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_reference_leads_somewhere() -> None:
    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) <= known
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT


def test_every_endpoint_is_there_with_its_errors() -> None:
    for endpoint in ENDPOINTS:
        operation = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
        wanted = {str(status) for status in endpoint.answers}
        wanted |= {str(STATUSES[code]) for code in endpoint.errors}
        assert wanted | {"400", "401", "500"} == set(operation["responses"])


@pytest.mark.parametrize(("name", "status"), EXAMPLES)
def test_examples_are_answers(name: str, status: int) -> None:
    (endpoint,) = [each for each in ENDPOINTS if each.name == name]
    kind = endpoint.answers[status]
    assert isinstance(kind, type)
    msgspec.convert(EXAMPLES[name, status], kind)


def test_a_record_has_the_fields_of_its_wire_type() -> None:
    lot = DOCUMENT["components"]["schemas"]["Lot"]
    assert tuple(lot["required"]) == ("is", *Lot.__struct_fields__)
    assert lot["properties"]["state"]["enum"][0].isupper()


def test_every_code_is_explained() -> None:
    assert set(STATUSES) <= set(EXPLANATIONS)

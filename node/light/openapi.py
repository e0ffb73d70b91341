"""The OpenAPI 3.1 document of the light node, made from its table of endpoints and the types of its messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import inspect

from node.light.endpoints import EVERYWHERE, STATUSES, Endpoint, Records
from node.light.examples import BODIES, EXAMPLES, FILES
from node.light.messages import Failure
from node.light.parameters import Parameter
from node.light.submitting import ID_FORM
from tallynet.plain import UNION_TAG
from tallynet.records import Lot

__all__ = ["document"]

TEMPLATE: Final = "#/components/schemas/{name}"
Schema = dict[str, Any]
_HEX: Final[Schema] = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
_HEAD: Final[dict[str, Schema]] = {
    "height": {"type": "integer", "description": "everything in the blocks up to here is taken in"},
    "proven_at": {
        "type": ["string", "null"],
        "description": "when f+1 validators said that there is no later block",
    },
}
_PATH_IDS: Final[Mapping[str, Schema]] = {
    "/vouchers/{id}": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "/commands/{id}": {"type": "string", "pattern": f"^{ID_FORM.pattern}$"},
    "/bulk/{id}": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
_PLAIN: Final[Mapping[type[Any], Schema]] = {
    str: {"type": "string"}, int: {"type": "integer"}, dict: {"type": "object"},
}  # fmt: skip


def document(endpoints: Sequence[Endpoint]) -> Schema:
    """All of it, as JSON has it."""
    schemas = _Schemas(endpoints)
    paths: dict[str, Schema] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallynet light node",
            "version": "1",
            "description": "What concerns one organisation, proven, and commands of its programs. Amounts are integers"
            " in the currency's smallest unit, ids hexadecimal, days counted from 1970-01-01 unless written as dates.",
        },
        "servers": [{"url": "http://127.0.0.1:7480"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(schemas.components.items())),
        },
    }  # fmt: skip


def _operation(endpoint: Endpoint, schemas: _Schemas) -> Schema:
    found: Schema = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [*_path_parameters(endpoint.path), *map(_parameter, endpoint.parameters)],
        "responses": {
            str(status): _answer(endpoint, status, schemas) for status in sorted(endpoint.answers)
        }
        | _failures((*EVERYWHERE, *endpoint.errors)),
    }
    if endpoint.path == "/events":
        header = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}
        found["parameters"].append(
            header | {"description": "of a stream: the `id` of the last event read"}
        )
        stream = {"schema": {"type": "string"}}
        found["responses"]["200"]["content"]["text/event-stream"] = stream
    if endpoint.body is not None:
        content = {"schema": schemas.of(endpoint.body), "examples": BODIES}
        found["requestBody"] = {"required": True, "content": {"application/json": content}}
    elif endpoint.files:
        content = {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            | FILES.get(media_type, {})
            for media_type in endpoint.files
        }
        found["requestBody"] = {"required": True, "content": content}
    return found


def _path_parameters(path: str) -> list[Schema]:
    if path not in _PATH_IDS:
        return []
    return [{"name": "id", "in": "path", "required": True, "schema": _PATH_IDS[path]}]


def _parameter(parameter: Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _answer(endpoint: Endpoint, status: int, schemas: _Schemas) -> Schema:
    content: Schema = {"schema": schemas.of(endpoint.answers[status])}
    if (endpoint.name, status) in EXAMPLES:
        content["example"] = EXAMPLES[endpoint.name, status]
    described = "its outcome is not known yet" if status == 202 else "answered"
    found: Schema = {"description": described, "content": {"application/json": content}}
    if endpoint.method in ("PUT", "POST") and endpoint.name in ("put_command", "upload"):
        found["headers"] = {
            "Location": {"description": "where to ask again", "schema": {"type": "string"}}
        }
    return found


def _failures(codes: Iterable[str]) -> Schema:
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUSES.get(code, 500), []).append(code)
    return {
        str(status): {
            "description": ", ".join(found),
            "content": {
                "application/json": {
                    "schema": {"$ref": TEMPLATE.format(name="Failure")},
                    "example": {
                        "code": found[0],
                        "message": "what is wrong",
                        "what_to_do": "how to mend it",
                    },
                }
            },
        }
        for status, found in sorted(by_status.items())
    }


class _Schemas:
    """Of every type that an endpoint names."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        types: dict[type[Any], None] = {Failure: None}
        for endpoint in endpoints:
            for each in (*endpoint.answers.values(), endpoint.body):
                if isinstance(each, type) and issubclass(each, msgspec.Struct):
                    types[each] = None
        found, self.components = msgspec.json.schema_components(types, ref_template=TEMPLATE)
        self._refs: Final = dict(zip(types, found, strict=True))

    def of(self, kind: type[Any] | Records) -> Schema:
        if isinstance(kind, Records):
            return self._records(kind)
        return dict(self._refs.get(kind) or _PLAIN[kind])

    def _records(self, records: Records) -> Schema:
        entry = self._plain(inspect.type_info(records.record))
        more = {"id": _HEX, "read_at_height": {"type": "integer"}} | {
            name: self._more(name, kind) for name, kind in records.fields.items()
        }
        optional = {"amount", "currency", "debtor", "maturity", "voucher_status"}
        own = {
            "type": "object",
            "properties": more,
            "required": [name for name in more if name not in optional],
        }
        entry = {"allOf": [entry, own]}
        if not records.page:
            return _object(_HEAD | {records.name: entry})
        after = {
            "type": ["string", "null"],
            "description": "ask with it for the next page; null: that was all",
        }
        return _object(_HEAD | {records.name: {"type": "array", "items": entry}, "after": after})

    def _more(self, name: str, kind: type[Any]) -> Schema:
        if name == "lots":
            return {"type": "array", "items": self._plain(inspect.type_info(Lot))}
        return _PLAIN[kind]

    def _plain(self, info: inspect.Type) -> Schema:
        """As `tallynet.plain` writes a wire value."""
        if isinstance(info, inspect.Metadata):
            return self._plain(info.type)
        if isinstance(info, inspect.StructType):
            return self._struct(info)
        if isinstance(info, inspect.EnumType):
            return {"type": "string", "enum": list(info.cls.__members__)}
        if isinstance(info, inspect.UnionType):
            return {"anyOf": [self._plain(each) for each in info.types]}
        if isinstance(info, inspect.VarTupleType):
            return {"type": "array", "items": self._plain(info.item_type)}
        names: dict[type[inspect.Type], Schema] = {
            inspect.BytesType: _HEX, inspect.IntType: {"type": "integer"}, inspect.StrType: {"type": "string"},
            inspect.BoolType: {"type": "boolean"}, inspect.NoneType: {"type": "null"},
        }  # fmt: skip
        return names[type(info)]

    def _struct(self, info: inspect.StructType) -> Schema:
        name = info.cls.__name__
        if name not in self.components:
            self.components[name] = {}  # named before its fields, which may name it
            fields = {field.name: self._plain(field.type) for field in info.fields}
            tag = {UNION_TAG: {"const": info.tag}} if info.tag is not None else {}
            self.components[name] = _object(tag | fields) | {"title": name}
        return {"$ref": TEMPLATE.format(name=name)}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}

"""Examples in the OpenAPI document of the light node."""

from __future__ import annotations

from typing import Any, Final

from node.light.row_files import CSV, JSON_LINES

__all__ = ["BODIES", "EXAMPLES", "FILES"]

_VOUCHER: Final = "5f" * 16
_OWN: Final = "a1" * 16
_OTHER: Final = "b2" * 16
_TRANSACTION: Final = "c3" * 32
_EVENT: Final[dict[str, Any]] = {
    "id": "1042.3", "height": 1042, "time": "2027-03-01T08:00:00Z", "type": "lot.transfer", "kind": "VOUCHER",
    "subject": _VOUCHER, "sequence": 7, "start": 0, "end": 3000000, "source": _OWN, "target": _OTHER,
    "amount": 0, "reference": "", "transaction": _TRANSACTION, "command": "erp-4711",
}  # fmt: skip
_COMMAND: Final[dict[str, Any]] = {
    "id": "erp-4711", "state": "PENDING", "transaction": _TRANSACTION, "valid_until": "2027-03-01T08:02:00Z",
    "code": "", "message": "", "what_to_do": "", "height": None, "receipt": None,
}  # fmt: skip
_DONE: Final[dict[str, Any]] = _COMMAND | {
    "state": "DONE", "code": "OK", "message": "executed in block 1042", "height": 1042,
    "receipt": {"transaction": _TRANSACTION, "code": "OK", "commands": [], "events_digest": "e5" * 32},
}  # fmt: skip
_ROW: Final[dict[str, Any]] = {
    "row": 2, "id": "erp-4713", "state": "DONE", "code": "OK", "message": "executed in block 1043", "what_to_do": "",
}  # fmt: skip

_STATUS: Final[dict[str, Any]] = {
    "height": 1043, "proven_at": "2027-03-01T08:00:04Z", "organisation": _OWN, "state": "FOLLOWING",
    "age_seconds": 3, "nodes": ["bank-1.example:7100"], "connected": ["bank-1.example:7100"], "why": None, "lies": 0,
    "last_lie": "", "records": 214, "pending": 1, "events": {"first": "17", "cursor": "1042.3"},
    "webhooks": [
        {
            "url": "https://erp.example/tallynet", "cursor": "1042.3", "behind": 0,
            "delivered_at": "2027-03-01T08:00:01Z", "failures": 0, "last_error": "",
        }
    ],
}  # fmt: skip
_UPLOAD: Final[dict[str, Any]] = {
    "id": "d4" * 16, "rows": 1, "counts": {"DONE": 1}, "finished": True, "results": [_ROW], "after": None,
}  # fmt: skip

EXAMPLES: Final[dict[tuple[str, int], Any]] = {
    ("status", 200): _STATUS,
    ("put_command", 202): _COMMAND,
    ("put_command", 200): _DONE,
    ("command", 200): _DONE,
    ("commands", 200): {"commands": [_COMMAND], "after": None},
    ("events", 200): {"events": [_EVENT], "cursor": "1042.3", "more": False},
    ("upload", 200): {"rows": 1, "counts": {"CHECKED": 1}, "results": [_ROW | {"state": "CHECKED"}]},
    ("upload", 202): _UPLOAD,
    ("uploaded", 200): _UPLOAD,
}  # fmt: skip
BODIES: Final[dict[str, Any]] = {
    "by fields": {
        "value": {
            "command": "lot.transfer",
            "options": {
                "voucher": _VOUCHER,
                "start": 0,
                "pieces": [{"receiver": _OTHER, "amount": 3000000, "document": None}],
            },
        }
    },
    "by words": {
        "value": {
            "command": "lot transfer",
            "options": {"voucher": "harbour-tours/v1", "pieces": ["corner-parts:30000.00"]},
        }
    },
}
FILES: Final[dict[str, dict[str, Any]]] = {
    CSV: {
        "example": "id,command,voucher,pieces\nerp-4713,lot transfer,harbour-tours/v1,corner-parts:100.00\n"
    },
    JSON_LINES: {
        "example": '{"id":"erp-4713","command":"lot transfer","options":{"voucher":"harbour-tours/v1","pieces":'
        '["corner-parts:100.00"]}}\n'
    },
}

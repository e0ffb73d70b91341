"""Whatever the OpenAPI document allows, and much that it does not, is asked of a light node on a network: each answer is
as the document says, and none is a fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.light.config import load_light, read_token
from node.light.endpoints import ENDPOINTS
from node.light.openapi import document
from tests.end_to_end.light_nodes import (
    ask_over_http,
    issue,
    private_network,
    running,
    tally,
    until,
)
from tools.light_cli import LightError, ask
from tools.ports import free_ports

CONFIG = """
[[operations]]
include-operation-id = ["put_command", "upload", "events"]
[operations.checks]  # what fits the schema may still be no command, and a cursor too old
positive_data_acceptance.enabled = false
[[operations]]
include-path = "/vouchers/{id}"
parameters = { "path.id" = "VOUCHER" }
[[operations]]
include-path = "/bulk/{id}"
parameters = { "path.id" = "UPLOAD" }
"""


@pytest.fixture
def light(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "light"
    register = ("organisation", "register", "--kind")
    with private_network(tmp_path / "network") as network:
        tally(network, *register, "core", "--size", "large", "--as", "bank-1", "--name", "tours")
        tally(
            network, *register, "supplier", "--size", "small", "--as", "bank-2", "--name", "devices"
        )
        port = str(free_ports(1))
        tally(
            network,
            "light",
            "init",
            str(directory),
            "--as",
            "devices",
            "--port",
            port,
            "--commands",
        )
        with running(directory):
            until(lambda: ask_or_nothing(directory, "/status").get("proven_at") is not None)
            issue(network)
            until(lambda: bool(ask(directory, "/holdings")["holdings"]))
            yield directory


def ask_or_nothing(directory: Path, path: str) -> dict[str, Any]:
    try:
        return ask(directory, path)
    except LightError:  # it starts
        return {}


def asked_with(light: Path) -> Path:
    """The document without `wait`, with which a request may take half a minute, and without what schemathesis cannot
    write."""
    asked = document(ENDPOINTS)
    for path in asked["paths"].values():
        for operation in path.values():
            operation["parameters"] = [
                each for each in operation["parameters"] if each["name"] != "wait"
            ]
    del asked["paths"]["/bulk"]["post"]["requestBody"]["content"]["application/x-ndjson"]
    file = light / "openapi.json"
    file.write_text(json.dumps(asked))
    return file


def test_every_answer_is_as_the_document_says(light: Path, tmp_path: Path) -> None:
    token, config = read_token(light), load_light(light)
    assert ask(light, "/openapi.json") == document(ENDPOINTS)
    voucher = ask(light, "/vouchers")["vouchers"][0]["id"]
    options = {"voucher": voucher, "start": "0", "pieces": "tours:1.00"}
    wanted = {"command": "lot transfer", "options": options}
    assert ask_over_http(light, "/commands/erp-1?wait=30", token, wanted)[0] == 200
    upload = ask(light, "/bulk", b"id,command\na,lot eat\n", "text/csv")
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(CONFIG.replace("VOUCHER", voucher).replace("UPLOAD", upload["id"]))
    result = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis", "--config-file", settings, "run", asked_with(light),
            "--url", f"http://{config.http_host}:{config.http_port}", "--header", f"Authorization: Bearer {token}",
            "--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--seed", "1", "--no-color",
            "--generation-database", "none", "--request-timeout", "30",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert '"fault"' not in (light / "log").read_text()

"""Every fault of a node's configuration at once, with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.config import ConfigError, load_config
from tools.cli import main
from tools.doctor.config_check import ConfigFault, config_faults

KEY = "ab" * 32
GOOD = f"""name = "bank-1"
listen_host = "127.0.0.1"
listen_port = 7100

[limits]
pending_per_organisation = 256

[[peers]]
public_key = "{KEY}"
host = "127.0.0.1"
port = 7101

[[peers]]
public_key = "{"cd" * 32}"
host = "127.0.0.1"
port = 7102
"""


@pytest.fixture
def faults(tmp_path: Path) -> Callable[[str], list[ConfigFault]]:
    def of(text: str) -> list[ConfigFault]:
        (tmp_path / "node.toml").write_text(text)
        return config_faults(tmp_path / "node.toml")

    return of


def test_a_good_one_has_none(faults: Callable[[str], list[ConfigFault]]) -> None:
    assert faults(GOOD) == []


def test_all_faults_are_named_at_once_each_with_its_line(
    faults: Callable[[str], list[ConfigFault]],
) -> None:
    text = (
        GOOD.replace('listen_host = "127.0.0.1"', 'listen_hots = "127.0.0.1"')
        .replace("7100", "71000")
        .replace("= 256", '= "many"')
        .replace("port = 7102", "prot = 7102")
    )
    assert [(fault.line, fault.field) for fault in faults(text)] == [
        (0, "listen_host"),
        (2, "listen_hots"),
        (3, "listen_port"),
        (6, "limits.pending_per_organisation"),
        (13, "peers[1].port"),
        (16, "peers[1].prot"),
    ]
    assert "Did you mean listen_host?" in [fault.remedy for fault in faults(text)]


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ("cd" * 32, KEY, "peers[1].public_key"),
        ("port = 7102", "port = 7101", "peers[1].port"),
        ("port = 7102", "port = 7100", "peers[1].port"),
        ("[limits]", '[web]\nlisten = "0.0.0.0:80"\n[limits]', "web.listen"),
        ("= 256", "= 20_000\npending_total = 5", "limits.pending_per_organisation"),
    ],
)
def test_settings_that_contradict_each_other(
    faults: Callable[[str], list[ConfigFault]], before: str, after: str, field: str
) -> None:
    assert [fault.field for fault in faults(GOOD.replace(before, after))] == [field]


def test_what_is_no_toml_names_the_line(faults: Callable[[str], list[ConfigFault]]) -> None:
    assert faults(GOOD.replace("7100", ""))[0].line == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_it_finds_a_fault_where_loading_does(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever line is lost or spoiled: a file that cannot be loaded has a fault, and one that can has none."""
    lines = GOOD.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = data.draw(
        st.sampled_from(
            ["", lines[number] + "0", lines[number].replace("=", "= -"), "x = 1", '[x]\n"']
        ),
    )
    path = tmp_path / "node.toml"
    path.write_text("\n".join(lines))
    try:
        load_config(tmp_path)
        loads = True
    except ConfigError:
        loads = False
    assert (config_faults(path) == []) is loads


def test_the_command_says_where_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.toml"
    path.write_text(GOOD.replace("7100", "0"))
    assert main(["node", "check-config", str(path)]) == 1
    assert f"{path}:3: listen_port 0: " in capsys.readouterr().out
    path.write_text(GOOD)
    assert main(["node", "check-config", str(path)]) == 0

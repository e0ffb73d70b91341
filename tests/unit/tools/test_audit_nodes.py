"""Several audits side by side: what goes wrong in a child reaches its user as it was."""

from __future__ import annotations

import os
import pickle
import signal
from pathlib import Path

import pytest

from node.config import ConfigError
from node.store import StoreError
from tallynet.client.errors import SubmissionRefused
from tallynet.documents.errors import INVOICE_REMEDIES, InvoiceError
from tallynet.errors import TallynetError
from tools import audit_nodes as audit_nodes_module
from tools.audit_nodes import audit_nodes


def test_an_unreadable_node_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        audit_nodes([tmp_path / "bank-1", tmp_path / "bank-2"])
    assert raised.value.code == "CONFIG_MISSING"
    assert "bank-" in raised.value.message


def _killed(_directory: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_child_that_is_killed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the kernel, for want of memory."""
    monkeypatch.setattr(audit_nodes_module, "_audit_in_child", _killed)
    with pytest.raises(StoreError, match="was killed") as raised:
        audit_nodes([tmp_path / "bank-1"])
    assert raised.value.code == "STORE_UNREADABLE"


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("CONFIG_MISSING", "there is none"),
        SubmissionRefused("EXPIRED", "it is too late", bytes(32)),
        InvoiceError(min(INVOICE_REMEDIES), "not an invoice", "line 3"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_from_one_process_to_another(error: TallynetError) -> None:
    """Each with all that it says, whatever it was made from."""
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert (str(other), vars(other)) == (str(error), vars(error))

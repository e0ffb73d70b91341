"""Several audits side by side: what goes wrong in a child reaches its user as it was."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from node.config import ConfigError
from tallynet.client.errors import SubmissionRefused
from tallynet.documents.errors import INVOICE_REMEDIES, InvoiceError
from tallynet.errors import TallynetError
from tools.audit_nodes import audit_nodes


def test_an_unreadable_node_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        audit_nodes([tmp_path / "bank-1", tmp_path / "bank-2"])
    assert raised.value.code == "CONFIG_MISSING"
    assert "bank-" in raised.value.message


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

"""Proof files: a statement about the ledger that anybody can check offline who has the genesis file.

`verify_proof(file, genesis)` is the whole verifier. docs/reference/proofs.md specifies file and algorithm so
that they can be written in another language.
"""

from tallynet.proofs.facts import (
    EventsFact,
    Fact,
    FieldsFact,
    HistoryFact,
    Proven,
    ProvenBlock,
    ProvenEvent,
    ReceiptFact,
    RecordFact,
    VoucherFact,
)
from tallynet.proofs.files import (
    PROOF_BYTES_MAX,
    AbsenceStatement,
    ActStatement,
    BlockEvents,
    DocumentStatement,
    EventsStatement,
    FinalBlock,
    HistoryStatement,
    ProofFile,
    ReceiptAndEvents,
    ReceiptStatement,
    RecordStatement,
    Statement,
    VoucherStatement,
    make_proof,
)
from tallynet.proofs.verify import PROOF_CODES, ProofRefused, check_proof, verify_proof

__all__ = [
    "PROOF_BYTES_MAX",
    "PROOF_CODES",
    "AbsenceStatement",
    "ActStatement",
    "BlockEvents",
    "Statement",
    "DocumentStatement",
    "EventsStatement",
    "EventsFact",
    "Fact",
    "FieldsFact",
    "FinalBlock",
    "HistoryStatement",
    "HistoryFact",
    "ProofFile",
    "ProofRefused",
    "Proven",
    "ProvenBlock",
    "ProvenEvent",
    "ReceiptStatement",
    "ReceiptAndEvents",
    "ReceiptFact",
    "RecordStatement",
    "RecordFact",
    "VoucherStatement",
    "VoucherFact",
    "check_proof",
    "make_proof",
    "verify_proof",
]

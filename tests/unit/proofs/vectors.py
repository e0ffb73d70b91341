"""Vectors for verifiers of proof files in other languages: files to accept with what they prove, files to refuse.

python -m tests.unit.proofs.vectors > docs/reference/proof-vectors.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tallynet.codec import encode
from tallynet.plain import to_plain
from tallynet.proofs import check_proof
from tests.unit.proofs.forgeries import FILES, forgeries
from tests.unit.proofs.world import GENESIS, NETWORK
from tools.proof_text import proven_plain


def vectors() -> dict[str, Any]:
    """Everything is deterministic: Ed25519 signatures too."""
    return {
        "note": "All bytes in hex. `encoded` is what the genesis hash covers.",
        "genesis": {
            "file": to_plain(GENESIS),
            "encoded": encode(GENESIS).hex(),
            "hash": NETWORK.hex(),
        },
        "accepted": [
            {"name": name, "proves": proven_plain(check_proof(file, GENESIS)), "file": file.hex()}
            for name, file in FILES.items()
        ],
        "refused": [
            {"name": name, "code": code, "file": file.hex()} for name, code, file in forgeries()
        ],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")

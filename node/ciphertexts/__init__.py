"""Ciphertexts of documents and sealed quotes, kept and handed out beside the chain (voucher law §16.2).

Nothing here is ordered or voted on: the chain names hashes, and what has the hash is right wherever it came
from. `store` keeps files, `access` says by the state who may put and read, `pulls` fetches from other nodes
what a client asks for, `service` answers.
"""

from node.ciphertexts.service import CiphertextService, Surroundings
from node.ciphertexts.store import CiphertextStore

__all__ = ["CiphertextService", "CiphertextStore", "Surroundings"]

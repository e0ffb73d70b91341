"""Oracle 11: no proof of misbehaviour ever names a correct validator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.evidence import culprit
from consensus.votes import DOMAINS
from tallynet.errors import RemoteProtocolError
from tallynet.messages import Signed
from tools.simulator.oracles.base import Oracle

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode


class EvidenceSoundness(Oracle):
    """A kept proof verifies, and against a liar only. A rolled-back disk may look guilty: such a
    validator is charged, too."""

    name = "evidence"

    def evidence(self, node: SimulatedNode, proof: bytes) -> None:
        try:
            index = culprit(proof, self._is_signed)
        except RemoteProtocolError as error:
            raise self.violated(f"{node} keeps a proof that proves nothing: {error}") from None
        if not self.run.is_faulty(index):
            raise self.violated(f"{node} keeps a proof against the correct validator {index}")

    def _is_signed(self, signed: Signed) -> bool:
        key = self.run.town.genesis.validators[signed.signer].public_key
        return bool(
            self.run.check(
                DOMAINS[signed.kind], self.run.town.hash, signed.body, key, signed.signature
            )
        )

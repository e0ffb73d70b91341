"""Oracle 11: no proof of misbehaviour ever names a correct validator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallynet.errors import RemoteProtocolError
from tallynet.evidence import culprit
from tallynet.forensics import Statements
from tallynet.messages import PrePrepare, Signed
from tools.simulator.oracles.base import Oracle

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run


class EvidenceSoundness(Oracle):
    """A kept proof verifies, and against a liar only. And whatever correct validators have ever let out,
    through all crashes and restarts, no two of their statements make a proof (INV-26). A rolled-back disk may
    look guilty: such a validator is charged, too."""

    name = "evidence"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._electorate: Final = run.succession
        self._statements: Final = Statements(self._electorate, run.check)
        self._seen: Final[dict[bytes, None]] = {}

    def sent(self, node: SimulatedNode, message: bytes) -> None:
        if node.faulty or message in self._seen:
            return
        self._seen[message] = None
        value = self.run.decoded(message)
        if isinstance(value, PrePrepare):
            self._statements.add_raw(value.prepare)
        elif isinstance(value, Signed):
            self._statements.add(value)

    def at_end(self) -> None:
        for conviction, _ in self._statements.convictions():
            if not self.run.is_faulty_in(conviction.epoch, conviction.signer):
                raise self.violated(f"what it said convicts a correct validator: {conviction}")

    def evidence(self, node: SimulatedNode, proof: bytes) -> None:
        try:
            found = culprit(proof, self._electorate, self.run.check)
        except RemoteProtocolError as error:
            raise self.violated(f"{node} keeps a proof that proves nothing: {error}") from None
        if not self.run.is_faulty_in(found.epoch, found.signer):
            raise self.violated(
                f"{node} keeps a proof against the correct validator {found.signer}: {found}"
            )

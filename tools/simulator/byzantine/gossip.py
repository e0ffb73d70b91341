"""Liars that pass on what is no envelope, or is one no longer."""

from __future__ import annotations

from msgspec.structs import replace

from tallynet.codec import encode
from tallynet.envelope import ENVELOPE_BYTES_MAX, EnvelopeBody, SignedEnvelope
from tallynet.messages import Bodies
from tools.simulator.byzantine.base import Behaviour, mutilated, opened


class GossipLiar(Behaviour):
    """Garbage, huge messages, old envelopes, and genuine ones with another body or other signatures."""

    def beat(self) -> None:
        for _ in range(self.random.randrange(4)):
            self.lie(self.random.choice(self.victims), Bodies(self._envelopes()))

    def send(self, to: int, message: bytes) -> None:
        value = self.run.decoded(message)
        if isinstance(value, Bodies) and self.random.random() < 0.5:
            changed = Bodies(tuple(self._changed(raw) for raw in value.bodies))
            if self.lie(to, changed):
                return
        self.emit(to, message)

    def _envelopes(self) -> tuple[bytes, ...]:
        random = self.random
        heard = self._genuine()
        way = random.randrange(20)
        if way == 0:
            return (bytes(ENVELOPE_BYTES_MAX + 1),)
        if way < 5 or not heard:
            return tuple(random.randbytes(random.randint(0, 400)) for _ in range(3))
        if way < 12:
            return tuple(random.sample(heard, min(3, len(heard))))
        return tuple(self._changed(raw) for raw in random.sample(heard, min(3, len(heard))))

    def _genuine(self) -> list[bytes]:
        """Envelopes that correct validators passed on."""
        return [
            raw
            for source, _, message in self.ring.archive.all("Bodies")
            if isinstance(message, Bodies) and source not in self.allies
            for raw in message.bodies
        ]

    def _changed(self, raw: bytes) -> bytes:
        """Other signatures under the same body, or another body under the same signatures."""
        if self.random.random() < 0.5:
            return mutilated(raw, self.random)
        envelope = opened(SignedEnvelope, raw)
        body = None if envelope is None else opened(EnvelopeBody, envelope.body)
        if envelope is None or body is None:
            return raw
        random = self.random
        others = [party.id for party in self.run.town.clients if party.id != body.organisation]
        changed = random.choice(
            (
                replace(body, valid_until=body.valid_until + 1),
                replace(body, organisation=random.choice(others)),
                replace(body, organisation=random.randbytes(16)),
                replace(body, commands=body.commands * 2),
                replace(body, genesis=random.randbytes(32)),
            )
        )
        return encode(SignedEnvelope(encode(changed), envelope.signatures))

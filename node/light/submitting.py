"""Commands of the enterprise's programs: signed here, and submitted under an id that the program gives.

The id is what makes asking again safe. The signed envelope is kept under it, durable, before it leaves; whoever asks
again, after a lost line or a restart of either side, has the same bytes sent again, which the network executes
once, and gets the same receipt. The same id with another command is refused. What has no receipt is sent until there is
one, or its validity is over, whether anybody asks or not; also after a restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Annotated, Any, Final, final, get_args

import msgspec
import structlog
import trio
from msgspec import Meta

from node.light.following import Follower
from node.light.sent import Sent, SentCommands
from tallynet.client import Client, OutcomeUnknown, SubmissionRefused, UnprovenPhase
from tallynet.codec import Wire, decode, encode
from tallynet.commands import Command, command_name
from tallynet.envelope import Envelope, open_envelope
from tallynet.errors import TallynetError
from tallynet.plain import PlainError, from_plain, to_plain
from tallynet.receipts import EnvelopeReceipt

__all__ = ["BODY_BYTES_MAX", "CommandError", "CommandRequest", "ByWords", "Sign", "Submitter"]

BODY_BYTES_MAX: Final = 64 * 1024
"""Of a request: the longest command, hexadecimal, is below that."""
RECEIPT_SECONDS: Final = 10.0
"""How long a request waits for its receipt, which takes a second when all is well."""
WAITING_MAX: Final = 1_000
"""Commands without receipt: what a program sends blindly while the network is away."""
LATE_SECONDS: Final = 5.0
"""For the receipt of a block that was made when the validity was nearly over."""
LABEL_BYTES: Final = 16
COMMANDS: Final[dict[str, type[Wire]]] = {command_name(each): each for each in get_args(Command)}

ByWords = Callable[[str, Mapping[str, Any]], Wire]
"""Builds a command of the organisation by its words on the command line, from the options there and a label. Raises
TallynetError."""
Sign = Callable[[Sequence[Wire]], Envelope]
"""Signs commands of the organisation. Raises TallynetError when the keys at hand do not suffice."""


class CommandError(TallynetError):
    """COMMAND_INVALID, COMMAND_ID_USED, COMMANDS_OFF: the request is refused, nothing was signed."""


class CommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a program sends."""

    id: Annotated[str, Meta(pattern="^[A-Za-z0-9._:-]{1,64}$")]
    """Its own, e.g. of the ERP's record; for ever."""
    command: str
    """e.g. `lot.transfer`; or by its words on the command line, `lot transfer`."""
    options: dict[str, Any]
    """Fields of the command: amounts as integers, ids hexadecimal; or the texts that its options take. A label that
    is left out is made of the id."""


@final
class Submitter:
    """Signs and sends for one organisation."""

    def __init__(
        self, kept: SentCommands, follower: Follower, sign: Sign | None, by_words: ByWords
    ) -> None:
        """`sign` None: this light node only answers."""
        self._kept: Final = kept
        self._follower: Final = follower
        self._sign: Final = sign
        self._by_words: Final = by_words
        self._nursery: trio.Nursery | None = None

    async def submit(self, raw: bytes) -> dict[str, Any]:
        """What became of the command in a request's body: state DONE with its receipt, whatever that says; or
        PENDING, to ask again with the same body.

        Raises:
            CommandError: also with the code of f+1 that do not take it in; EXPIRED: not any more.
            ClientBusy, ForkSeen, CopyError, and what signing raises.
        """
        if self._sign is None:
            raise CommandError("COMMANDS_OFF", "light.toml does not say `commands = true`")
        request = _request(raw)
        command = self._command(request)
        digest = sha256(command_name(command).encode() + encode(command)).digest()
        # No checkpoint from here to `keep`: the same id twice at once is one envelope.
        sent = self._kept.get(request.id)
        if sent is None:
            now = int(time.time())
            if self._kept.waiting(now) >= WAITING_MAX:
                raise CommandError(
                    "CLIENT_BUSY", f"{WAITING_MAX} commands have no receipt; ask for those"
                )
            envelope = self._sign([command])
            sent = Sent(request.id, digest, envelope.raw, envelope.body.valid_until)
            self._kept.keep(sent, now)
            if self._nursery is not None:
                self._nursery.start_soon(self._go_on, sent)
        elif sent.digest != digest:
            raise CommandError("COMMAND_ID_USED", f"{request.id} was another command")
        return _report(sent if sent.receipt else await self._send(sent, RECEIPT_SECONDS))

    async def run(self) -> None:
        """Go on with what has no receipt, as long as it is valid: what requests gave up waiting for, and, with each
        connection, what a stop or the connection before has left."""
        client: Client | None = None
        async with trio.open_nursery() as self._nursery:
            while self._sign is not None:
                client = await self._follower.connection(client)
                for sent in self._kept.unanswered(int(time.time())):
                    self._nursery.start_soon(self._go_on, sent)

    async def _go_on(self, sent: Sent) -> None:
        log = structlog.get_logger("light")
        try:
            done = await self._send(sent, max(0.0, sent.valid_until - time.time()) + LATE_SECONDS)
        except TallynetError as error:  # whoever asks for it gets the same answer
            log.warning("no receipt", id=sent.id, code=error.code, message=error.message)
            return
        log.info("receipt" if done.receipt else "expired", id=sent.id, height=done.height)

    def look(self, id: str) -> dict[str, Any] | None:
        """What is known of an id, without asking anybody."""
        sent = self._kept.get(id)
        return None if sent is None else _report(sent)

    def _command(self, request: CommandRequest) -> Wire:
        label = sha256(b"tallynet/light/" + request.id.encode()).digest()[:LABEL_BYTES].hex()
        if " " not in request.command:
            return _by_fields(request, label)
        try:
            built = self._by_words(request.command, {"label": label} | request.options)
            return decode(type(built), encode(built))  # nothing is signed that no node would read
        except TallynetError as error:
            raise CommandError("COMMAND_INVALID", error.message) from None

    async def _send(self, sent: Sent, seconds: float) -> Sent:
        client = self._follower.client
        if client is None:
            return sent
        envelope = open_envelope(sent.envelope)
        try:
            receipt = await client.submit(envelope, seconds=seconds)
        except OutcomeUnknown:
            return sent
        except SubmissionRefused as error:
            # It may have been executed long ago, by what nodes do not remember at the door any more.
            outcome = await client.outcome(envelope.transaction)
            if isinstance(outcome, UnprovenPhase):
                raise CommandError(error.code, f"not taken in: {error.message}") from None
            receipt = outcome
        done = replace(sent, receipt=encode(receipt.receipt), height=receipt.height)
        self._kept.keep(done, int(time.time()))
        return done


def _request(raw: bytes) -> CommandRequest:
    try:
        return msgspec.json.decode(raw, type=CommandRequest)
    except (msgspec.DecodeError, RecursionError) as error:  # also what is nested thousandfold
        raise CommandError("COMMAND_INVALID", str(error)) from None


def _by_fields(request: CommandRequest, label: str) -> Wire:
    kind = COMMANDS.get(request.command)
    if kind is None:
        raise CommandError("COMMAND_INVALID", f"no command {request.command!r}; see `tally rules`")
    options = request.options
    if "label" in kind.__struct_fields__:
        options = {"label": label} | options
    try:
        return from_plain(kind, options)
    except PlainError as error:
        raise CommandError("COMMAND_INVALID", error.message) from None


def _report(sent: Sent) -> dict[str, Any]:
    envelope = open_envelope(sent.envelope)
    head: dict[str, Any] = {
        "id": sent.id,
        "transaction": envelope.transaction.hex(),
        "valid_until": sent.valid_until,
    }
    if not sent.receipt:
        return head | {"state": "PENDING"}
    receipt = decode(EnvelopeReceipt, sent.receipt)
    codes = [receipt.code, *(each.code for each in receipt.commands)]
    code = next((code for code in codes if code != "OK"), "OK")
    done = {"state": "DONE", "code": code, "height": sent.height, "receipt": to_plain(receipt)}
    return head | done

"""Commands of the enterprise's programs: signed here, and submitted under an id that the program gives.

The id is what makes asking again safe. The signed envelope is kept under it, durable, before it leaves; whoever asks
again, after a lost line or a restart of either side, has the same bytes sent again, which the network executes
once, and gets the same receipt. The same id with another command is refused. What has no outcome is sent until there is
one, whether anybody asks or not; also after a restart.
"""

from __future__ import annotations

import re
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
from node.light.news import News
from node.light.sending import NeverHappened, attempt
from node.light.sent import Sent, SentCommands, State
from tallynet.client import Client, OutcomeUnknown, Receipt, SubmissionRefused
from tallynet.codec import Wire, decode, encode
from tallynet.commands import Command, command_name
from tallynet.envelope import Envelope, open_envelope
from tallynet.errors import TallynetError
from tallynet.plain import PlainError, from_plain

__all__ = [
    "BODY_BYTES_MAX", "COMMANDS", "ID_FORM", "ByWords", "CommandError", "CommandRequest", "Sign", "Submitter", "command_request", "digest_of",
]  # fmt: skip

BODY_BYTES_MAX: Final = 64 * 1024
"""Of a request: the longest command, hexadecimal, is below that."""
WAITING_MAX: Final = 1_000
"""Commands without outcome: what a program sends blindly while the network is away."""
AGAIN_SECONDS: Final = 5.0
"""Before a command that got no outcome is sent, or asked about, again."""
LABEL_BYTES: Final = 16
ID_FORM: Final = re.compile("[A-Za-z0-9._:-]{1,64}", re.ASCII)
"""Of a program's id for a command: e.g. of the ERP's record; for ever."""
COMMANDS: Final[dict[str, type[Wire]]] = {command_name(each): each for each in get_args(Command)}

ByWords = Callable[[str, Mapping[str, Any]], Wire]
"""Builds a command of the organisation by its words on the command line, from the options there and a label. Raises
TallynetError."""
Sign = Callable[[Sequence[Wire]], Envelope]
"""Signs commands of the organisation. Raises TallynetError when the keys at hand do not suffice."""


class CommandError(TallynetError):
    """COMMAND_INVALID, COMMAND_ID_USED, COMMANDS_OFF, CLIENT_BUSY: the request is refused, nothing was signed."""


class CommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a program sends."""

    command: Annotated[str, Meta(min_length=1, max_length=64)]
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
        self.kept: Final = kept
        self.news: Final = News()
        """Of outcomes, and of what nodes say meanwhile."""
        self._outcomes: Final[dict[str, trio.Event]] = {}
        """By id, of those that somebody waits for; of WAITING_MAX at most."""
        self._follower: Final = follower
        self._sign: Final = sign
        self._by_words: Final = by_words
        self._nursery: trio.Nursery | None = None

    def put(self, id: str, raw: bytes) -> Sent:
        """Have the command of a request's body sent under an id.

        Raises:
            CommandError, CopyError, and what signing raises: nothing was signed.
        """
        return self.accept(id, self.read(id, command_request(raw)))

    def read(self, id: str, request: CommandRequest) -> Wire:
        """The command that a request describes. Raises CommandError."""
        if ID_FORM.fullmatch(id) is None:
            raise CommandError(
                "COMMAND_INVALID", "an id has 1 to 64 letters, digits, `.`, `_`, `:`, `-`"
            )
        label = sha256(b"tallynet/light/" + id.encode()).digest()[:LABEL_BYTES].hex()
        if " " not in request.command:
            return _by_fields(request, label)
        try:
            built = self._by_words(request.command, {"label": label} | request.options)
            return decode(type(built), encode(built))  # nothing is signed that no node would read
        except TallynetError as error:
            raise CommandError("COMMAND_INVALID", error.message) from None

    def known(self, id: str, command: Wire) -> Sent | None:
        """What was sent under the id, if it was this command. Raises CommandError COMMAND_ID_USED."""
        sent = self.kept.get(id)
        if sent is not None and sent.digest != digest_of(command):
            raise CommandError("COMMAND_ID_USED", f"{id} was another command")
        return sent

    def accept(self, id: str, command: Wire) -> Sent:
        """Sign, keep and send it, unless that was done before. No checkpoint: the same id twice at once is one
        envelope.

        Raises:
            CommandError, CopyError, and what signing raises: nothing was signed.
        """
        sign, sent = self.require_signing(), self.known(id, command)
        if sent is not None:
            return sent
        if self.kept.pending() >= WAITING_MAX:
            raise CommandError(
                "CLIENT_BUSY", f"{WAITING_MAX} commands have no outcome; ask for those"
            )
        envelope = sign([command])
        until = envelope.body.valid_until
        sent = Sent(id, digest_of(command), envelope.raw, envelope.transaction, until)
        self.kept.keep(sent)
        if self._nursery is not None:
            self._nursery.start_soon(self._go_on, sent)
        return sent

    def require_signing(self) -> Sign:
        """Raises CommandError COMMANDS_OFF."""
        if self._sign is None:
            raise CommandError("COMMANDS_OFF", "light.toml does not say `commands = true`")
        return self._sign

    async def wait(self, sent: Sent, seconds: float) -> Sent:
        """What became of it; as soon as that is known, or after these seconds."""
        known = self.kept.get(sent.id) or sent
        if known.state != State.PENDING:
            return known
        outcome = self._outcomes.setdefault(sent.id, trio.Event())
        with trio.move_on_after(seconds):
            await outcome.wait()
        return self.kept.get(sent.id) or sent

    async def run(self) -> None:
        """Go on with what has no outcome, also with what a stop has left."""
        if self._sign is None:
            return
        async with trio.open_nursery() as self._nursery:
            for sent in self.kept.listed(State.PENDING, 0, WAITING_MAX):
                self._nursery.start_soon(self._go_on, sent)
            await trio.sleep_forever()

    async def _go_on(self, sent: Sent) -> None:
        log = structlog.get_logger("light")
        while sent.state == State.PENDING:
            client = await self._follower.connection(None)
            try:
                found = await self._attempt(client, sent)
                if found != sent:
                    self.kept.note(found)
                    log.info("outcome", id=sent.id, state=found.state, code=found.code)
                    sent = found
                    self._tell(sent)
            except TallynetError as error:  # the next connection, or a mended disk, may bring it
                log.warning("no outcome", id=sent.id, code=error.code, message=error.message)
            if sent.state == State.PENDING:
                await trio.sleep(AGAIN_SECONDS)

    def _tell(self, sent: Sent) -> None:
        self.news.tell()
        if sent.state != State.PENDING and sent.id in self._outcomes:
            self._outcomes.pop(sent.id).set()

    async def _attempt(self, client: Client, sent: Sent) -> Sent:
        envelope = open_envelope(sent.envelope)
        seconds = sent.valid_until - time.time() + AGAIN_SECONDS
        try:
            return _executed(sent, await attempt(client, self._follower, envelope, seconds))
        except NeverHappened as never:
            return replace(sent, state=State.EXPIRED, code=never.code, message=never.message)
        except SubmissionRefused as error:
            return replace(sent, code=error.code, message=f"not taken in: {error.message}")
        except OutcomeUnknown:
            return sent


def digest_of(command: Wire) -> bytes:
    """By which a command is known again."""
    return sha256(command_name(command).encode() + encode(command)).digest()


def command_request(raw: bytes) -> CommandRequest:
    """The body of a request. Raises CommandError COMMAND_INVALID."""
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


def _executed(sent: Sent, receipt: Receipt) -> Sent:
    codes = [receipt.receipt.code, *(each.code for each in receipt.receipt.commands)]
    code = next((code for code in codes if code != "OK"), "OK")
    return replace(
        sent,
        state=State.DONE if code == "OK" else State.REFUSED,
        code=code,
        message=f"executed in block {receipt.height}"
        if code == "OK"
        else f"refused in block {receipt.height}",
        receipt=encode(receipt.receipt),
        height=receipt.height,
    )

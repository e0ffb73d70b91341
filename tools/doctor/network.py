"""The doctor on the wire: whose the own port is, and whether the peers are there and are who they should be."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psutil
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from net import NodeIdentity
from net.connection import LOST, Connection, closing, wrap
from tallynet.blocks import Header, quorum
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.frames import frame
from tallynet.handshake import same_software, software_fingerprint
from tallynet.messages import (
    BlockPage,
    Challenge,
    ClientReply,
    Goodbye,
    NodeState,
    NodeStatus,
    PeerRole,
    QueryBlock,
    QueryStatus,
)
from tallynet.tls import check_pin
from tools.doctor.files import NodeFiles
from tools.doctor.findings import Finding, fault, ok, warning
from tools.doctor.machine import newest_block, open_files
from tools.output import one_line

PROBE_SECONDS: Final = 5.0
"""For all that is asked of one node; all are asked at once."""
CERTIFICATE_DAYS_LEFT: Final = 30
_STOPPED: Final = (NodeState.DIVERGED, NodeState.RETIRED)
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a node showed of itself before anything went wrong."""

    code: str = ""
    trouble: str = ""
    """Empty: it answered all that was asked."""
    expires: datetime | None = None
    software: str = ""
    height: int = 0
    time_ms: int = 0
    """Of its newest block; 0: none."""
    status: NodeStatus | None = None


async def probe(host: str, port: int, key: bytes, genesis: bytes) -> Shown:
    """Dial a node as a client with a fresh key and ask how it is. Never raises for what is wrong there."""
    code = trouble = ""
    found = _Probe()
    try:
        identity = NodeIdentity(
            genesis=genesis,
            key=Ed25519PrivateKey.generate(),
            validators=(key,),
            role=PeerRole.CLIENT,
        )
        with trio.fail_after(PROBE_SECONDS):
            await found.run(identity, host, port)
    except* RemoteProtocolError as group:
        first = _first(group)
        code = first.code if isinstance(first, RemoteProtocolError) else ""
        trouble = str(first)
    except* trio.TooSlowError:
        trouble = f"no answer within {PROBE_SECONDS:g} s"
    except* LOST as group:
        trouble = str(_first(group)) or "the connection broke"
    except* (
        ValueError
    ) as group:  # a weak key, a name that cannot be one, a certificate that is none
        trouble = str(_first(group))
    return Shown(
        one_line(code), one_line(trouble), found.expires, one_line(found.software), found.height,
        found.time_ms, found.status,
    )  # fmt: skip


class _Probe:
    """What is learned stays when a later step fails."""

    def __init__(self) -> None:
        self.expires: datetime | None = None
        self.software = ""
        self.height = 0
        self.time_ms = 0
        self.status: NodeStatus | None = None

    async def run(self, identity: NodeIdentity, host: str, port: int) -> None:
        transport = await trio.open_tcp_stream(host, port)
        stream = wrap(transport, identity.client_context, server_side=False)
        async with closing(stream):
            await stream.do_handshake()
            shown = stream.getpeercert(binary_form=True)
            if shown is not None:
                self.expires = x509.load_der_x509_certificate(shown).not_valid_after_utc
            check_pin(shown, identity.validators[0])
            connection = Connection(stream)
            await self._greet(identity, connection)
            connection.authenticated()
            await connection.send(frame(encode(QueryStatus(1))) + frame(encode(QueryBlock(2, 0))))
            await self._listen(connection)

    async def _greet(self, identity: NodeIdentity, connection: Connection) -> None:
        handshake = identity.as_dialler(0)
        while True:
            message = await connection.receive_one()
            if not self.software:
                self.software = _software(message)
            answer = handshake.receive(message)
            if answer is None:
                self.height = handshake.height
                return
            await connection.send(frame(answer))

    async def _listen(self, connection: Connection) -> None:
        answered = 0
        while answered < 2:
            for message in await connection.receive():
                reply: ClientReply = decode(ClientReply, message)
                if isinstance(reply, Goodbye):
                    raise RemoteProtocolError(reply.code, reply.reason)
                if isinstance(reply, NodeStatus):
                    self.status = reply
                elif isinstance(reply, BlockPage):
                    self.time_ms = decode(Header, reply.header).time_ms
                answered += 1


def _software(message: bytes) -> str:
    try:
        return decode(Challenge, message).software
    except RemoteProtocolError:
        return ""  # a Goodbye, or nonsense: the handshake says which


def _first(error: BaseException) -> BaseException:
    """Of nested groups; trio puts one per address of a host behind a sentence of its own."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if error.__cause__ is None else _first(error.__cause__)


# --- the checks -----------------------------------------------------------------------------------


async def look_around(files: NodeFiles) -> list[Finding]:
    """The own port and every peer, all at once."""
    config, genesis = files.config, files.network
    if genesis is None:
        return [warning("peers", "not asked without the genesis", "Mend that first.")]
    own_key = files.key or _stored_key(files)
    shown: dict[str, Shown] = {}

    async def ask(name: str, host: str, port: int, key: bytes) -> None:
        shown[name] = await probe(host, port, key, genesis)

    async with trio.open_nursery() as nursery:
        for peer in config.peers:
            key = bytes.fromhex(peer.public_key)
            nursery.start_soon(ask, peer.public_key, peer.host, peer.port, key)
        if own_key is not None:
            host = _ANY_ADDRESS.get(config.listen_host, config.listen_host)
            nursery.start_soon(ask, "", host, config.listen_port, own_key)
    own = shown.pop("", None)
    pid = listener_pid(config.listen_port)
    running = own is not None and not own.trouble
    answers = [own, *shown.values()] if own is not None else list(shown.values())
    return [
        _port(files, own, pid),
        *([_status(own)] if own is not None and running else []),
        open_files(*_file_limit(pid if running else None)),
        newest_block(_block_times(files, answers)),
        _certificates(answers),
        *_peers(files, shown, running),
    ]


def _block_times(files: NodeFiles, answers: Iterable[Shown]) -> list[int]:
    stored = files.store.time_ms if files.store is not None else 0
    return [time_ms for time_ms in (stored, *(a.time_ms for a in answers)) if time_ms]


def _stored_key(files: NodeFiles) -> bytes | None:
    return bytes.fromhex(files.store.node_key) if files.store and files.store.node_key else None


def listener_pid(port: int) -> int | None:
    """Process that listens on a port of this machine, where this user may know."""
    try:
        found = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    for connection in found:
        address = connection.laddr
        if connection.status == psutil.CONN_LISTEN and address and address.port == port:
            return connection.pid
    return None


def _file_limit(pid: int | None) -> tuple[int, str]:
    try:
        if pid is not None:
            return psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE)[0], "the running node's"
    except psutil.Error:
        pass  # another user's process
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0], "of this shell; a service has its own"


def _port(files: NodeFiles, own: Shown | None, pid: int | None) -> Finding:
    place = f"{files.config.listen_host}:{files.config.listen_port}"
    if own is not None and not own.trouble:
        return ok("port", f"{place}: this node runs" + (f", process {pid}" if pid else ""))
    if own is not None and (own.code or own.expires):
        return fault(
            "port",
            f"{place} is taken by something else: {own.trouble}",
            "Stop that, or choose another listen_port.",
        )
    if pid is not None:
        return fault(
            "port", f"{place} is taken by process {pid}", "Stop it, or choose another listen_port."
        )
    return ok("port", f"{place}: free, the node does not run")


def _status(own: Shown) -> Finding:
    status = own.status
    if status is None:
        return warning("node", "did not tell its status", "See its log.")
    text = f"height {status.committed}, {status.state.name.lower()}, {status.waiting}"
    if status.state in _STOPPED:
        return fault("node", text, "docs/operate/logs.md says how to go on.")
    if status.state is NodeState.MUTE or status.behind:
        text += f", {status.behind} blocks behind" if status.behind else ""
        return warning("node", text, "It follows; look again in a minute, and at its log.")
    return ok("node", text)


def _certificates(answers: Sequence[Shown]) -> Finding:
    """The key inside is what counts; dates stop nobody (E7), but another program may look at them."""
    dates = [answer.expires for answer in answers if answer.expires is not None]
    if not dates:
        return ok("certificates", "none was shown")
    first = min(dates)
    text = f"{len(dates)} shown, the first one ends {first.date()}"
    if (first - datetime.now(first.tzinfo)).days < CERTIFICATE_DAYS_LEFT:
        return warning(
            "certificates",
            text,
            "Tallynet does not mind. Something between the nodes shows a certificate of its own.",
        )
    return ok("certificates", text)


def _peers(files: NodeFiles, shown: dict[str, Shown], running: bool) -> Iterable[Finding]:
    names = files.name_of
    ours = software_fingerprint()
    for key, answer in shown.items():
        name = names.get(key, key[:16])
        if answer.trouble:
            yield _unreached(name, answer)
        elif answer.software and not same_software(answer.software, ours):
            yield fault(
                f"peer {name}",
                f"runs {answer.software}; here is {ours}",
                "Both have to run the same release with its pinned packages.",
            )
    yield _quorum(files, shown, running)


def _unreached(name: str, answer: Shown) -> Finding:
    if answer.code == "PEER_WRONG_KEY":
        return fault(
            f"peer {name}",
            answer.trouble,
            "Correct host and port in node.toml; or its bank has replaced the key.",
        )
    if answer.code == "NETWORK_MISMATCH":
        return fault(f"peer {name}", answer.trouble, "Compare the genesis files of both nodes.")
    return warning(
        f"peer {name}", answer.trouble, "Is it down? Else look at addresses, routes and firewalls."
    )


def _quorum(files: NodeFiles, shown: dict[str, Shown], running: bool) -> Finding:
    validators = files.validators
    reached = [key for key, answer in shown.items() if not answer.trouble]
    own = files.key.hex() if files.key is not None else ""
    voting = sum(key in validators for key in (*reached, own))
    needed = quorum(len(validators))
    text = f"{len(reached)} of {len(shown)} answer; {voting} of {len(validators)} validators, {needed} needed"
    if voting >= needed:
        return ok("peers", text)
    remedy = "Without a quorum there are no blocks: call the banks whose nodes do not answer."
    return fault("peers", text, remedy) if running else warning("peers", text, remedy)

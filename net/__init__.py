"""The validators' network: listener, mesh, outboxes, limits. Everything runs on trio.

How a node uses it:

    identity = NodeIdentity(genesis=genesis_hash, key=private_key, validators=public_keys_by_index)
    listener = Listener(
        identity, host, port,
        peers=PeerInbox(deliver, is_full, wait_for_room),
        clients=ClientHandler(handle, forget),
        committed_height=lambda: executor.head.height,
    )
    mesh = Mesh(identity, {index: (host, port), ...}, on_connected=None)
    async with trio.open_nursery() as nursery:
        bound_port = await nursery.start(listener.run)   # ListenError PORT_IN_USE, ADDRESS_UNUSABLE
        nursery.start_soon(mesh.run)

Messages to validators leave through `mesh.send(index, message)` and `mesh.broadcast(message)`: encoded
messages, never blocking, dropping the oldest when a peer is slow (retransmission repairs). Each
validator dials every other one and sends on the link it dialled; it reads what others dialled. So a
pair has two connections, no tie-break is needed, and the answer to a peer's request is an ordinary
`mesh.send(source, ...)`.

What peers sent arrives in lists, decoded, within its size limit and never a `Goodbye`:
`deliver(source_index, [PeerMessage, ...])`, called in order of arrival on the connection's task.
While `is_full()` the connection is not read; `await wait_for_room()` ends that. Signatures are not
checked here. `listener.strike(source_index)` counts a message that turned out to be invalid; twenty
within a minute end the connection and shut its key out for a minute.

What a client sent arrives the same way: `handle(session, [ClientRequest, ...])`, then once
`forget(session)`. `ClientSession` offers `.send(encoded_reply)` (never blocks, ignored after the end;
a client that does not read is disconnected), `.key`, `.strike()`, `.close(code, reason)`.

Observers dial as clients do and have places of their own: `Listener(..., observers=ClientHandler(handle,
forget, ObserverRequest))`. On the other side an observer's mesh dials the nodes that it follows, reads
their answers from the same link, and hands them to `Mesh(..., answers=Answers(deliver, wait_for_room))`.

An exception out of a callback ends that connection only and is logged with its traceback;
`InvariantViolated` is no `Exception` and ends the node. `listener.statistics()`,
`mesh.statistics()` and `session.statistics()` are frozen snapshots for status and metrics.
"""

from net.clients import ClientHandler, ClientSession, ClientStatistics
from net.errors import ListenError
from net.identity import NodeIdentity
from net.limits import ListenerLimits
from net.listener import Listener, ListenerStatistics, PeerInbox, PeerStatistics
from net.mesh import Answers, LinkStatistics, Mesh, MeshStatistics

__all__ = [
    "Answers", "ClientHandler", "ClientSession", "ClientStatistics", "LinkStatistics", "ListenError",
    "Listener", "ListenerLimits", "ListenerStatistics", "Mesh", "MeshStatistics", "NodeIdentity",
    "PeerInbox", "PeerStatistics",
]  # fmt: skip

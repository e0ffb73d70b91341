"""Observers among the machines of `machines`: nodes that dial others and hear from nobody else."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from consensus.events import Received
from node.handovers import Standing
from tallynet.codec import decode
from tallynet.messages import NodeStatus, ObserverReply, ObserverRequest, QueryStatus
from tests.unit.node.machines import ClientEnd, Net, Validator

OBSERVER = 4
"""Number of the first observer among four validators; its key is the first spare one."""


class End:
    """The connection of an observer to one node that it follows, as that node sees it."""

    is_behind = False

    def __init__(self, observer: Observer, number: int, server: Validator) -> None:
        self.observer, self.number, self.server = observer, number, server
        self.open = True
        self.strikes = 0
        self.asked: list[object] = []
        self.loses: tuple[type, ...] = ()
        """Requests of these types do not arrive."""

    def send(self, message: bytes) -> None:
        if self.open:
            reply = decode(ObserverReply, message)  # type: ignore[arg-type]
            self.observer.arrived.append((self.number, reply))

    def strike(self) -> None:
        self.strikes += 1

    def ask(self, message: bytes) -> None:
        """What the observer says to that node."""
        if self.open:
            request = decode(ObserverRequest, message)  # type: ignore[arg-type]
            self.asked.append(request)
            if isinstance(request, self.loses):
                return
            self.server.machine.followers.handle(self, (request,))


class Observer(Validator):
    """Joins the net at once."""

    def __init__(
        self,
        net: Net,
        number: int,
        follows: Sequence[Validator],
        standing: Standing = Standing.OBSERVES,
    ) -> None:
        self.arrived: deque[tuple[int, object]] = deque()
        self.ends = [End(self, i, node) for i, node in enumerate(follows)]
        self.extra = {
            "standing": standing,
            "followed": tuple(f"node-{node.index + 1}" for node in follows),
        }
        super().__init__(net, number, net.directory / str(number))
        net.nodes.append(self)

    def connected(self) -> int:
        return sum(end.open for end in self.ends)

    def send(self, to: int, message: bytes) -> None:
        if self.machine.life.observes:
            self.ends[to].ask(message)
        else:
            super().send(to, message)

    def broadcast(self, message: bytes) -> None:
        if not self.machine.life.observes:
            super().broadcast(message)
            return
        for end in self.ends:
            end.ask(message)

    def work(self) -> bool:
        if not self.machine.life.observes:
            self.arrived.clear()
        while self.arrived:
            number, message = self.arrived.popleft()
            for_core, invalid = self.machine.receive(number, [message])  # type: ignore[list-item]
            self.invalid += invalid
            self.inbox.extend(Received(number, m) for m in for_core)
        return super().work()

    @property
    def status(self) -> NodeStatus:
        client = ClientEnd()
        self.machine.service.handle(client, (QueryStatus(1),))
        (reply,) = client.replies
        assert isinstance(reply, NodeStatus)
        return reply

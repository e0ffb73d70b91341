"""What is checked: the protocol within several bounds, and each rule left out once.

The quorum is the one the validators use, `tallynet.blocks.quorum`; only controls set another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tallynet.blocks import quorum


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One run of the model: its bounds, and the rules that it leaves out."""

    name: str
    validators: int = 4
    byzantine: int = 1
    views: int
    """2 to 4."""
    heights: int
    """1 or 2; the window is as long."""
    first_leader: int | None = None
    """Replica that leads view 0; the Byzantine ones have the highest numbers. None: no leader of any
    view can be trusted, which covers every placement of the Byzantine ones and more."""
    reduced: bool = False
    """The schedule with fewer interleavings."""
    disk_loss: bool = False
    """One more replica may lose its disk."""
    quorum: int | None = None
    """None: as the validators compute it."""
    without: tuple[str, ...] = ()
    """Defines of the model that leave a rule out."""
    holds: bool = True
    """What must come out: True when no two blocks can become final at one height."""
    quick: bool = True
    """Part of the reduced set."""

    @property
    def defines(self) -> tuple[str, ...]:
        """For spin, and for replaying a trail."""
        values = {
            "VALIDATORS": self.validators,
            "BYZANTINE": self.byzantine,
            "QUORUM": quorum(self.validators) if self.quorum is None else self.quorum,
            "VIEWS": self.views,
            "HEIGHTS": self.heights,
        }
        flags = ["ANY_LEADER"] if self.first_leader is None else []
        if self.first_leader is not None:
            values["FIRST_LEADER"] = self.first_leader
        flags += ["REDUCED"] * self.reduced + ["DISK_LOSS"] * self.disk_loss
        return (
            *(f"-D{name}={value}" for name, value in values.items()),
            *(f"-D{name}" for name in (*flags, *self.without)),
        )


def _control(
    name: str,
    *without: str,
    views: int = 2,
    heights: int = 1,
    first_leader: int = 3,
    disk_loss: bool = False,
) -> Configuration:
    return Configuration(
        name=name,
        views=views,
        heights=heights,
        first_leader=first_leader,
        disk_loss=disk_loss,
        without=without,
        holds=False,
    )


CHECKS: Final[tuple[Configuration, ...]] = (
    Configuration(name="n=4, 3 views, 2 heights", views=3, heights=2, reduced=True, quick=False),
    Configuration(name="n=4, 2 views, 2 heights", views=2, heights=2, reduced=True),
    Configuration(name="n=4, 4 views, 1 height", views=4, heights=1, reduced=True, quick=False),
    Configuration(
        name="n=4, 2 views, 2 heights, all interleavings", views=2, heights=2, quick=False
    ),
    Configuration(name="n=4, 3 views, 1 height, all interleavings", views=3, heights=1),
    *(
        Configuration(
            name=f"n=4, 3 views, 1 height, {who} is Byzantine",
            views=3,
            heights=1,
            first_leader=first,
            quick=first == 3,
        )
        for first, who in (
            (3, "the leader of view 0"),
            (2, "the leader of view 1"),
            (1, "the leader of view 2"),
            (0, "no leader"),
        )
    ),
    Configuration(
        name="n=4, 2 views, 1 height, none is Byzantine",
        byzantine=0,
        views=2,
        heights=1,
        first_leader=0,
    ),
    Configuration(
        name="n=4, 3 views, 1 height, another one loses its disk and is silent",
        views=3,
        heights=1,
        first_leader=3,
        disk_loss=True,
        quick=False,
    ),
    Configuration(
        name="n=5, 2 views, 2 heights", validators=5, views=2, heights=2, reduced=True, quick=False
    ),
    Configuration(name="n=5, 3 views, 1 height", validators=5, views=3, heights=1, reduced=True),
    Configuration(
        name="n=6, 3 views, 1 height", validators=6, views=3, heights=1, reduced=True, quick=False
    ),
    Configuration(
        name="parent link at Commit only",
        views=2,
        heights=2,
        reduced=True,
        without=("PREPARES_WITHOUT_PARENT",),
        quick=False,
    ),
    Configuration(
        name="parent link at Prepare only",
        views=2,
        heights=2,
        reduced=True,
        without=("COMMITS_WITHOUT_PARENT",),
    ),
)
"""The protocol as built: must hold."""

CONTROLS: Final[tuple[Configuration, ...]] = (
    _control("the new leader proposes freely", "FREE_NEW_LEADER"),
    _control("another proposal erases a certificate", "FORGETS_CERTIFICATES", views=3),
    _control("the certificate of the lowest view wins", "LOWEST_VIEW_WINS", views=3),
    _control("Commit without Commit below it", "COMMITS_OUT_OF_ORDER", heights=2),
    _control("votes in a view that was left", "VOTES_AFTER_LEAVING"),
    _control("NewView ignores the committed block", "IGNORES_COMMITTED", first_leader=2),
    _control("votes below the base of the NewView", "VOTES_BELOW_BASE", first_leader=2),
    _control(
        "no parent link at Prepare and Commit",
        "PREPARES_WITHOUT_PARENT",
        "COMMITS_WITHOUT_PARENT",
        heights=2,
    ),
    _control("a replica that lost its disk votes again", "AMNESIAC_VOTES", disk_loss=True),
    Configuration(name="quorum 2 of 4", views=2, heights=1, first_leader=3, quorum=2, holds=False),
    Configuration(
        name="quorum 3 of 6",
        validators=6,
        views=2,
        heights=1,
        first_leader=5,
        quorum=3,
        holds=False,
    ),
    Configuration(
        name="two Byzantine of four", byzantine=2, views=2, heights=1, first_leader=2, holds=False
    ),
)
"""One rule left out each: two blocks must become final at one height, or the model proves nothing."""

CONFIGURATIONS: Final = (*CHECKS, *CONTROLS)

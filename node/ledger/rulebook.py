"""The table of commands: who may sign what, and which function is its rule (voucher law §8).

Each family module registers its rules with `@rule(...)` beside the function, so that the function
reads like its row. `node.ledger.execute` imports all families and looks rules up here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

from node.ledger.context import Context
from tallynet.codec import Wire
from tallynet.commands import command_name
from tallynet.records import CommandClass, Role

C = TypeVar("C", bound=Wire)
RuleFunction = Callable[[Context, Any], None]


class Signers(Enum):
    """Default policies of §5: the roles that must sign, and by how many distinct persons."""

    M = ((Role.MAKER,), 1)
    MC = ((Role.MAKER, Role.CHECKER), 2)
    MCA = ((Role.MAKER, Role.CHECKER, Role.APPROVER), 3)
    AD2 = ((Role.ADMIN,), 2)

    def __init__(self, roles: tuple[Role, ...], persons: int) -> None:
        self.roles = roles
        self.persons = persons


class Joint(Enum):
    """Who must consent to a joint act besides the sender."""

    NO = "one organisation"
    BANK_QUORUM = "the quorum of validator banks"
    PARTIES = "all parties of the act"


@dataclass(frozen=True, slots=True)
class Rule:
    command: type[Wire]
    name: str
    command_class: CommandClass
    signers: Signers
    api: bool
    """An API key within its cap may sign alone."""
    joint: Joint
    parties: Callable[[Context, Any], Sequence[bytes]]
    """PARTIES: the organisations that must all consent."""
    amount: Callable[[Any], int]
    """Amount that policies and key caps look at; 0 where a command has none."""
    errors: tuple[str, ...]
    """Specific codes of the row."""
    sentence: str
    """One sentence for people."""
    function: RuleFunction


RULES: Final[dict[type[Wire], Rule]] = {}


def no_amount(_command: object) -> int:
    return 0


def no_parties(_context: Context, _command: object) -> Sequence[bytes]:
    return ()


def rule(
    command: type[C],
    command_class: CommandClass,
    signers: Signers,
    *,
    sentence: str,
    errors: tuple[str, ...] = (),
    api: bool = False,
    joint: Joint = Joint.NO,
    parties: Callable[[Context, C], Sequence[bytes]] = no_parties,
    amount: Callable[[Any], int] = no_amount,
) -> Callable[[Callable[[Context, C], None]], Callable[[Context, C], None]]:
    """Register the decorated function as the rule of `command`."""

    def register(function: Callable[[Context, C], None]) -> Callable[[Context, C], None]:
        if command in RULES:
            raise ValueError(f"{command_name(command)} has two rules")
        RULES[command] = Rule(
            command, command_name(command), command_class, signers, api, joint, parties,
            amount, errors, sentence, function,
        )  # fmt: skip
        return function

    return register

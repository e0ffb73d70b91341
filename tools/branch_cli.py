"""`tally branch create`: makes wallet and keys, so it is not in the command table."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Final

from cyclopts import App

from tallynet.plain import from_plain
from tallynet.records import OrganisationKind, PolicyRule
from tools.connect import genesis_of
from tools.ledger_cli import (
    DEFAULT_NETWORK,
    AsOption,
    Common,
    NetworkOption,
    OutputOption,
    execute,
)
from tools.onboarding import branch_creation, new_branch
from tools.organisation_cli import (
    REFUSED,
    DryRunOption,
    SignAsOption,
    check_name,
    made_for_the_act,
    one_of,
    read_json,
)
from tools.output import Output
from tools.wallet import WALLETS, load_wallet

TEST_TAX_ID: Final = "test-{name}"


def create(
    *,
    as_: AsOption,
    name: str,
    kinds: str = "",
    region: str = "home",
    tax_id: str = "",
    rules: Path | None = None,
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Create a branch of the acting enterprise; makes its wallet, with people as the parent has.

    For example:

        tally branch create --as harbour-tours --name harbour-kiosk --region island

    Parameters
    ----------
    name
        Name of the branch's wallet: lower-case letters, digits, hyphens.
    kinds
        Some of the parent's kinds, separated by commas. Default: all of them.
    region
        Region.
    tax_id
        The branch's registration number; enters the chain as a commitment. Default: made from the
        name, for tests.
    rules
        JSON file with the delegated policy and limits, as for tally organisation policy. Default: the
        parent's own policy.
    """
    parent = load_wallet(network, as_)
    check_name(name)
    chosen = tuple(part for part in kinds.split(",") if part) or parent.kinds
    kinds_of_branch = tuple(sorted({one_of(OrganisationKind, part) for part in chosen}))
    policy = () if rules is None else from_plain(tuple[PolicyRule, ...], read_json(rules))
    wallet = new_branch(network, parent, name, kinds_of_branch)
    directory = network / WALLETS / name

    def put_aside() -> None:
        target = network / REFUSED / f"{name}-{int(time.time())}"
        target.parent.mkdir(exist_ok=True)
        directory.rename(target)

    with made_for_the_act(lambda: shutil.rmtree(directory), put_aside, dry_run=dry_run):
        command = branch_creation(
            network,
            genesis_of(network)[1],
            wallet,
            tax_id=tax_id or TEST_TAX_ID.format(name=name),
            region=region,
            policy=tuple(sorted(policy, key=lambda rule: (rule.command_class, rule.amount_from))),
        )
        execute(Common(network, as_, "", sign_as, dry_run, output), command)


def add_branch_commands(nouns: dict[str, App]) -> None:
    """Add the command of this module to its noun."""
    nouns["branch"].command(create, name="create")

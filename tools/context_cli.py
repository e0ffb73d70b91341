"""`tally context`: named defaults for --network, --as and --output, and how they enter a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Argument, ArgumentCollection, Parameter, Token

from tools.completers import context_names
from tools.contexts import Context, ContextError, chosen, load, save
from tools.ledger_cli import DEFAULT_NETWORK, NETWORK_VARIABLE, NetworkOption, OutputOption
from tools.output import ERRORS, Output, print_json, print_rows, told
from tools.testnet_files import load_network
from tools.wallet import load_wallet

COLUMNS: Final = ("", "context", "network", "as", "output")
OWN: Final = "context"
"""The noun whose commands name contexts, and so use none."""

NameArgument = Annotated[str, Parameter(completer=context_names)]

context = App(name=OWN, help="Named defaults for --network, --as and --output")


@context.command
def add(
    name: str,
    *,
    network: NetworkOption = DEFAULT_NETWORK,
    as_: Annotated[str, Parameter(name="--as", help="who acts: a wallet of this network")] = "",
    output: Annotated[Output | None, Parameter(name="--output", help="table or json")] = None,
) -> None:
    """Name defaults, in place of those that had this name. The first context is in use at once.

    For example:

        tally context add pilot --network network --as bank-1

    Parameters
    ----------
    name
        Small letters, digits and hyphens.
    """
    load_network(network)
    if as_:
        load_wallet(network, as_)
    made = Context(str(network.resolve()), as_, "" if output is None else output.value)
    contexts = load()
    try:
        new = msgspec.convert(
            {
                "current": contexts.current or name,
                "contexts": msgspec.to_builtins(contexts.contexts | {name: made}),
            },
            type(contexts),
        )
    except msgspec.ValidationError as error:
        raise ContextError("CONTEXT_INVALID", f"{name!r}: {error}") from None
    save(new)
    told(output or Output.table, f"context {name}: {made.network}", name=name, network=made.network)


@context.command
def use(name: NameArgument, *, output: OutputOption = Output.table) -> None:
    """Take the defaults of this context from now on.

    For example:

        tally context use pilot
    """
    contexts = load()
    named = contexts.named(name)
    save(msgspec.structs.replace(contexts, current=name))
    told(output, f"context {name}: {named.network}", name=name, network=named.network)


@context.command(name="list")
def list_contexts(*, output: OutputOption = Output.table) -> None:
    """List the contexts; the one in use has a star.

    For example:

        tally context list
    """
    contexts, current = load(), chosen()
    name = current[0] if current else ""
    if output is Output.json:
        print_json({"current": name, "contexts": msgspec.to_builtins(contexts.contexts)})
        return
    rows = [
        ("*" if known == name else "", known, c.network, c.acting or "-", c.output or "-")
        for known, c in sorted(contexts.contexts.items())
    ]
    print_rows("", COLUMNS, rows)


@context.command
def show(*, output: OutputOption = Output.table) -> None:
    """Say which defaults hold here, in this shell.

    For example:

        tally context show
    """
    current = chosen()
    if current is None:
        told(output, "no context is in use", name=None)
        return
    name, used = current
    if output is Output.json:
        print_json({"name": name} | msgspec.to_builtins(used))
    else:
        row = ("*", name, used.network, used.acting or "-", used.output or "-")
        print_rows("", COLUMNS, [row])


@context.command
def remove(name: NameArgument, *, output: OutputOption = Output.table) -> None:
    """Forget a context. Networks and wallets stay as they are.

    For example:

        tally context remove pilot
    """
    contexts = load()
    contexts.named(name)
    left = {known: c for known, c in contexts.contexts.items() if known != name}
    current = "" if contexts.current == name else contexts.current
    save(msgspec.structs.replace(contexts, current=current, contexts=left))
    told(output, f"context {name} is forgotten", name=name)


def from_context(_app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give a command line what it does not say itself. Raises ContextError."""
    if commands[:1] == (OWN,):
        return
    current = chosen()
    if current is None:
        return
    name, used = current
    network = next((a for a in arguments if _is_network(a)), None)
    if network is not None and network.tokens and not _is_same(network, used):
        return
    taken = [
        _take(argument, value, name)
        for argument in arguments
        if (value := _value(argument, used)) and not argument.tokens
    ]
    if any(taken) and ERRORS.is_terminal:
        ERRORS.print(f"context {name}: {' '.join(taken)}", style="dim", markup=False)


def _is_network(argument: Argument) -> bool:
    """Also a directory that TALLY_NETWORK stands for."""
    return NETWORK_VARIABLE in (argument.parameter.env_var or ())


def _is_same(network: Argument, used: Context) -> bool:
    return Path(network.tokens[-1].value).resolve() == Path(used.network)


def _value(argument: Argument, used: Context) -> str:
    if _is_network(argument):
        return used.network
    return {"--as": used.acting, "--output": used.output}.get(argument.name, "")


def _take(argument: Argument, value: str, name: str) -> str:
    argument.append(Token(keyword=argument.name, value=value, source=f"context {name}"))
    return f"{argument.name} {value}"


def add_context_commands(app: App) -> None:
    """Add the commands of this module, and let all others take their defaults from the context."""
    app.command(context)
    app.config = (from_context,)


__all__ = ["add_context_commands"]

"""The routes of the desk: what waits, a form for each act, a page for each proposal, the people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from node.desk.accounts import Account, Duty
from node.desk.actions import ACTIONS
from node.desk.case import Action, Case, Form
from node.desk.desk import Desk, DeskError, new_id
from node.desk.entered import Entered, FieldError
from node.desk.proposals import Proposal, State
from node.desk.sessions import Sessions
from node.desk.tasks import may_issue, tasks
from node.desk.uploads import KeptFiles, Sent, read_form
from node.light.copy import Copy
from node.light.messages import Explain
from node.web.book import PageError
from node.web.language import language_of
from node.web.pages import frame_of, html
from node.web.render import render
from node.web.site import Site
from node.web.stream import Streams
from node.web.texts import TEXTS, text
from node.web.who import Who
from tallynet.commands import command_name
from tallynet.errors import TallynetError

__all__ = ["Trouble", "routes"]

LISTED_MAX: Final = 50
"""Proposals of each sort on the desk."""
STREAMS_MAX: Final = 16
"""Pages of proposals that follow theirs; with those of the banner, three quarters of the connections."""
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something was not done."""

    code: str
    message: str
    spoken: bool
    """The message is in the language of the page; else it is in English."""
    remedy: str
    """What to do, in the language of the page; empty: the message says it."""
    field: str = ""
    """Of a form."""


def routes(
    site: Site, desk: Desk, sessions: Sessions, copy: Copy, explain: Explain
) -> list[BaseRoute]:
    """For those who are signed in; programs get none of it."""
    pages = _Pages(site, desk, sessions, copy, explain)
    found: list[BaseRoute] = [
        Route("/desk", pages.desk),
        Route("/acts/{action}", pages.form),
        Route("/acts/{action}", pages.draft, methods=["POST"]),
        Route("/proposals/{id}", pages.proposal),
        Route("/proposals/{id}/stream", pages.follow),
        Route("/proposals/{id}/{step}", pages.step, methods=["POST"]),
        Route("/people", pages.people),
        Route("/people/{name}/end-sessions", pages.end_sessions, methods=["POST"]),
    ]
    return found


@final
class _Pages:
    def __init__(
        self, site: Site, desk: Desk, sessions: Sessions, copy: Copy, explain: Explain
    ) -> None:
        self._site: Final = site
        self._desk: Final = desk
        self._sessions: Final = sessions
        self._copy: Final = copy
        self._explain: Final = explain
        self._files: Final = KeptFiles()
        self._streams: Final = Streams(STREAMS_MAX)

    # --- what waits ---------------------------------------------------------------------------------------

    async def desk(self, request: Request) -> Response:
        account = _account(request)
        proposals = self._desk.proposals
        waiting = proposals.list(State.OPEN, limit=LISTED_MAX)
        drafts = proposals.list(State.DRAFT, limit=LISTED_MAX)
        ended = (State.SENDING, State.DONE, State.REFUSED, State.DECLINED, State.WITHDRAWN)
        data = {
            "account": account,
            "to_check": [each for each in waiting if self._desk.may_check(each, account)],
            "waiting": [each for each in waiting if not self._desk.may_check(each, account)],
            "drafts": [each for each in drafts if each.maker.account == account.name],
            "ended": proposals.list(*ended, limit=LISTED_MAX),
            "tasks": tasks(self._copy),
            "under_way": proposals.under_way(),
            "may_issue": may_issue(self._copy),
            "makes": account.may(Duty.MAKER),
            "acts": {name: action.act for name, action in ACTIONS.items()},
        }
        return self._page(request, "desk.html", data)

    # --- forms --------------------------------------------------------------------------------------------

    async def form(self, request: Request) -> Response:
        account, action = _maker(request), _action(request)
        # A link says what it is about; what is entered, nobody enters for somebody else.
        fields = {name: request.query_params.get(name, "") for name in action.about}
        return await self._form(request, account, action, Sent(fields, b"", ""), None)

    async def draft(self, request: Request) -> Response:
        """Kept and shown; nothing is proposed yet."""
        account, action = _maker(request), _action(request)
        sent = await self._sent(request)
        about = {name: request.query_params.get(name, "") for name in action.about}
        sent = self._with_kept_file(account, replace(sent, fields=sent.fields | about))
        id = new_id()
        case = self._case(request, sent, id)
        try:
            drafted = await action.build(case)
            await self._desk.draft(
                account,
                id=id,
                action=action.name,
                subject=action.subject(case.entered) or f"{action.name}:{id}",
                drafted=drafted,
            )
        except TallynetError as error:
            return await self._form(request, account, action, sent, error)
        return RedirectResponse(f"/proposals/{id}", 303)

    async def _form(
        self,
        request: Request,
        account: Account,
        action: Action,
        sent: Sent,
        error: TallynetError | None,
    ) -> Response:
        """With everything in it that was entered. Raises PageError NO_SUCH_PAGE: the address is about nothing."""
        case = self._case(request, sent, "")
        try:
            form = await action.form(case)
        except TallynetError as away:
            error, form = error or away, Form(())
        if isinstance(error, FieldError) and error.field in action.about:
            raise PageError("NO_SUCH_PAGE", f"{action.name}?{error.field}=")
        kept = self._files.keep(account.name, sent.file_name, sent.file) if sent.file else ""
        data = {
            "action": action,
            "query": urlencode([(name, sent.fields.get(name, "")) for name in action.about]),
            "form": form,
            "entered": dict(form.defaults) | sent.fields,
            "trouble": None if error is None else self._trouble(request, error),
            "kept": kept,
            "kept_name": sent.file_name,
            "names": sorted(case.names.values()),
        }
        return self._page(request, "act.html", data, 200 if error is None else 422)

    def _with_kept_file(self, account: Account, sent: Sent) -> Sent:
        kept = self._files.get(account.name, sent.fields.get("kept", ""))
        return sent if sent.file or kept is None else replace(sent, file_name=kept[0], file=kept[1])

    def _case(self, request: Request, sent: Sent, id: str) -> Case:
        names = self._names()
        return Case(
            self._desk.chain,
            self._copy,
            names,
            language_of(request),
            Entered(sent.fields, names),
            id.encode(),
            sent.file,
        )

    # --- proposals ----------------------------------------------------------------------------------------

    async def proposal(self, request: Request) -> Response:
        account = _account(request)
        return self._proposal(request, account, self._shown(request, account))

    async def follow(self, request: Request) -> Response:
        """Says when the proposal stands otherwise than the page that asks has `seen`."""
        id = self._shown(request, _account(request)).id
        seen = request.query_params.get("seen", "")
        return self._streams.follow("proposal", lambda: self._stands(id), seen)

    def _stands(self, id: str) -> str:
        """In a word: what a page of the proposal shows changes with it."""
        proposal, late = self._desk.proposals.get(id), self._desk.trouble(id)
        return f"{proposal.state}-{len(proposal.agreed)}-{'' if late is None else late.code}"

    async def step(self, request: Request) -> Response:
        """Propose, approve, decline or withdraw; once more does nothing and shows the same."""
        account = _account(request)
        sent = await self._sent(request)
        proposal = self._shown(request, account)
        id, desk = proposal.id, self._desk
        try:
            match request.path_params["step"]:
                case "propose":
                    await desk.propose(id, account)
                case "approve":
                    await desk.approve(id, account)
                case "decline":
                    await desk.decline(id, account, sent.fields.get("reason", ""))
                case "withdraw":
                    await desk.withdraw(id, account)
                case other:
                    raise PageError("NO_SUCH_PAGE", other[:80])
        except PageError:
            raise
        except TallynetError as error:
            now = self._desk.proposals.get(id)
            return self._proposal(request, account, now, self._trouble(request, error), sent.fields)
        return RedirectResponse(f"/proposals/{id}", 303)

    def _shown(self, request: Request, account: Account) -> Proposal:
        """Drafts are their maker's alone."""
        id = request.path_params["id"]
        try:
            found = self._desk.proposals.get(id)
        except TallynetError as error:
            raise PageError("NO_SUCH_PAGE", id[:80]) from error
        if found.state is State.DRAFT and found.maker.account != account.name:
            raise PageError("NO_SUCH_PAGE", id[:80])
        return found

    def _proposal(
        self,
        request: Request,
        account: Account,
        proposal: Proposal,
        trouble: Trouble | None = None,
        entered: Mapping[str, str] | None = None,
    ) -> Response:
        own = proposal.maker.account == account.name
        late = self._desk.trouble(proposal.id)
        data = {
            "proposal": proposal,
            "commands": [(command_name(each), each) for each in proposal.wire],
            "title": ACTIONS[proposal.action].act if proposal.action in ACTIONS else "",
            "trouble": trouble,
            "late": None if late is None else self._trouble(request, late),
            "remedy": self._explain(proposal.code, language_of(request)),
            "reason": (entered or {}).get("reason", ""),
            "own": own,
            "may_check": self._desk.may_check(proposal, account),
            "created": self._desk.created(proposal.id),
            "stands": self._stands(proposal.id),
            "follows": proposal.state in (State.OPEN, State.SENDING),
        }
        status = 200 if trouble is None else 409
        return self._page(request, "proposal.html", data, status)

    # --- people -------------------------------------------------------------------------------------------

    async def people(self, request: Request) -> Response:
        _require(_account(request), Duty.ADMINISTRATOR)
        accounts = self._desk.accounts.all().values()
        data = {"accounts": list(accounts), "sessions": self._sessions.counted()}
        return self._page(request, "people.html", data)

    async def end_sessions(self, request: Request) -> Response:
        _require(_account(request), Duty.ADMINISTRATOR)
        await self._sent(request)
        self._sessions.end_all(request.path_params["name"])
        return RedirectResponse("/people", 303)

    # --- around -------------------------------------------------------------------------------------------

    def _names(self) -> dict[bytes, str]:
        return self._site.names.known(None)

    async def _sent(self, request: Request) -> Sent:
        """Raises PageError FORM_FOREIGN, UPLOAD_TOO_LARGE."""
        sent = await read_form(request)
        who: Who = request.scope["who"]
        if not who.brings(sent.fields.get("csrf", "")):
            raise PageError("FORM_FOREIGN")
        return sent

    def _trouble(self, request: Request, error: TallynetError) -> Trouble:
        if isinstance(error, FieldError):
            return Trouble(error.code, "", True, "", error.field)
        language = language_of(request)
        key = f"desk_{error.code}"
        spoken = isinstance(error, DeskError) and key in TEXTS
        about = error.about if isinstance(error, DeskError) else ""
        message = text(key, language, what=about) if spoken else error.message
        return Trouble(error.code, message, spoken, self._explain(error.code, language))

    def _page(
        self, request: Request, template: str, data: Mapping[str, Any], status: int = 200
    ) -> Response:
        frame = replace(frame_of(self._site, request), names=self._names())
        return html(render(template, data, frame), request, status)


def _account(request: Request) -> Account:
    """Whoever is signed in. Raises PageError SIGN_IN_NEEDED: programs are not."""
    found: Account | None = request.scope.get("account")
    if found is None:
        raise PageError("SIGN_IN_NEEDED")
    return found


def _maker(request: Request) -> Account:
    account = _account(request)
    _require(account, Duty.MAKER)
    return account


def _require(account: Account, duty: Duty) -> None:
    if not account.may(duty):
        raise PageError("NOT_ALLOWED", duty.value)


def _action(request: Request) -> Action:
    name = request.path_params["action"]
    if name not in ACTIONS:
        raise PageError("NO_SUCH_PAGE", name[:80])
    return ACTIONS[name]

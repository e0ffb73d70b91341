"""The desk: what the people of an enterprise do in the browser, at the pages of its light node.

accounts.py   who may sign in, as whom, and what each may do: a file beside the copy
passwords.py  hashes of passwords
tries.py      how often a password may be tried
sessions.py   who is signed in
sign_in.py    pages behind a sign-in; programs show the token

office.py     what the desk is handed: the wallet's people, their signatures, its documents
chain.py      what the desk asks the network: proven records, and whether an act would be done now
proposals.py  acts that somebody has proposed, durable
desk.py       from draft to receipt: propose, approve, decline, sign, send

case.py       one act as it takes shape: form, what was entered, commands
actions.py    which acts there are: issuing.py, passing.py, cash.py, paying.py
entered.py    what was entered in a form, read strictly
uploads.py    forms with a file, within bounds
tasks.py      what waits for somebody
pages.py      the routes
"""

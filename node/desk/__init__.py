"""The desk: what the people of an enterprise do in the browser, at the pages of its light node.

accounts.py   who may sign in, as whom, and what each may do: a file beside the copy
passwords.py  hashes of passwords
tries.py      how often a password may be tried
sessions.py   who is signed in
sign_in.py    pages behind a sign-in; programs show the token
office.py     what the desk is handed: signing, the command line's words, the wallet's documents
chain.py      what the desk asks the network: would this be done now, and what day is it
proposals.py  acts that somebody has proposed, durable
desk.py       from draft to receipt: propose, approve, decline, sign, send
actions.py    which acts there are, what each asks for, and how that becomes commands
choices.py    what forms offer for choice
tasks.py      what waits for somebody
uploads.py    forms with files, within bounds
pages.py      the routes
"""

"""Web pages of a node, and of a light node: what an operator and an accountant want to see. Read-only; what an
accountant does in the browser is `node.desk`.

address.py      where the pages are: this machine only
listener.py     the HTTP server, with bounds on all that a client can take
guard.py        who is answered, and the headers of every answer
who.py          who looks, where pages ask for that
application.py  routes put together
pages.py        which pages there are, and how a request becomes one
views/          one module per page: its data, which is its JSON as well
book.py         what a view reads; node_book.py: from a snapshot of a node's store
site.py         what the pages stand on; node_site.py: a node, read in a thread of its own
standing.py     whether blocks are made, and why not: the banner; stream.py sends it
render.py       templates; picture.py, provenance.py, fields.py: what they draw
texts.py        what pages say in both languages; words.py: statuses, commands, events
shown.py        amounts, days, ids as people read them; plain.py: data as JSON
names.py        the operator's address book
assets.py       scripts and styles, with the manifest of those that others wrote
errors.py       what cannot be shown is a page too
"""

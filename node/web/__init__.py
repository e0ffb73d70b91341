"""Web pages of a node, and of a light node: what an operator and an accountant want to see. Read-only.

address.py     where the pages are: this machine only
listener.py    the HTTP server, with bounds on all that a client can take
guard.py       who is answered, and the headers of every answer
application.py routes put together, errors as pages
"""

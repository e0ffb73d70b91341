"""The light node of an enterprise: a client that keeps a verified copy of what concerns one organisation, and
answers its programs over HTTP on this machine, also when the network is far away.

    concern.py    which records those are, and what an event makes it read anew. No I/O
    copy.py       the copy on disk
    event_log.py  events in it, and cursors into them
    reading.py    reads records, proven, and whatever hangs together with them
    following.py  fills the copy, follows the log, and says how old it is
    standing.py   what it is doing

    sent.py       commands by the ids of the programs that asked for them
    submitting.py signs them, and sends them until there is an outcome
    row_files.py  rows of CSV, Excel and JSON lines files
    uploads.py    has them sent

    answers.py    the copy as JSON
    messages.py   types of the other answers
    event_pages.py   events as programs read them
    event_stream.py  and as server-sent events
    webhooks.py   and brought to them

    endpoints.py  what is answered over HTTP, as a table
    parameters.py what a query may say
    api.py        the answers
    http.py       the token, the paths, the errors
    openapi.py    the table as OpenAPI document
    examples.py   examples in it

    database.py   SQLite files
    news.py       waiting for what changes on disk
    book.py       the copy as web pages read it
    site.py       the light node's side of the web pages (`node.web`)
    config.py     light.toml and the token
    daemon.py     all of it in one process
"""

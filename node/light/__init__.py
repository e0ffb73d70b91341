"""The light node of an enterprise: a client that keeps a verified copy of what concerns one organisation, and
answers its programs over HTTP on this machine, also when the network is far away.

    concern.py    which records those are, and what an event makes it read anew. No I/O
    copy.py       the copy on disk
    sent.py       commands by the ids of the programs that asked for them
    database.py   what the two have in common
    reading.py    reads records, proven, and whatever hangs together with them
    following.py  fills the copy, follows the log, and says how old it is
    answers.py    the copy as JSON
    submitting.py commands of the enterprise's programs, signed and sent once
    http.py       who asks whom for what, over HTTP
    book.py       the copy as web pages read it
    site.py       the light node's side of the web pages (`node.web`)
    config.py     light.toml and the token
    daemon.py     all of it in one process
"""

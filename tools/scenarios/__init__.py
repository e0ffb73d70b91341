"""Stories and loads that a network must bear, by name: `tally scenario hot-lot`.

    stage.py            what every scenario acts on: organisations, lines, vouchers, days
    network_stage.py    four real validators whose clock can be moved on
    ledger_stage.py     the same law in this process, without a network: what the tests run
    catalogue.py        which scenarios there are
    traffic.py          a day of `tools.workload` as commands, foretold
    everything else     one scenario a file

A scenario is written against `Stage` and states what it showed as facts, figures with names. On
either stage every command is signed, admitted and executed as on any network. On real validators a
run ends with an audit of every node.
"""

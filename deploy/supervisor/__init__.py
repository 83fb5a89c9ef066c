"""`callgrant up`: a broker and every process of ours on one machine, kept running, ended together.

Owns starting in order, restarting what dies, stopping in reverse order, and telling a person one line per process.
Refuses to leave anything behind, to share a data folder, and to know what the processes do: it sees commands, ports and
`/readyz`.
"""

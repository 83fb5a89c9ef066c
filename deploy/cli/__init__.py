"""The command line `callgrant`: one door for every command.

Owns words, options, tables and exit codes (0 done, 1 not as it should be, 2 usage or settings). Refuses to hold logic:
each command reads the settings, calls a room and prints.
"""

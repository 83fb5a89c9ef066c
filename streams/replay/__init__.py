"""The whole stream in one process: a history in, judged pairs out, without broker or network.

Owns the history file, the first look for what is known of numbers, delivery between pairs, the passing of time, and the
story of one pair. Refuses rules and formats: `streams.permission` judges and `streams.providers` translates, the same
code the worker runs. The wall clock and the terminal belong to the commands.
"""

"""The pure core: what the evidence of a pair means at an instant. No framework, clock, chance or I/O.

One rule a file, numbers from the dated policy, time as an argument. The index of rules is in `streams/README.md`.
"""

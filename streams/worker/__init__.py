"""The worker: meaning. Webhooks become facts, facts become state, changes and records, on Faust with batches.

Owns the order in which writes happen (design 5) and everything Faust needs to keep it. Refuses HTTP in (but health),
SQL and rules: those are pure code in `streams.permission` and `streams.providers`.
"""

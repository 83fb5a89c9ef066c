"""The read side: rows from `permission.records` in ClickHouse, named questions about them, the analysts' page.

Owns storage and metrics' SQL. Refuses to know a rule: what a row says was judged by whoever wrote the record.
"""

"""The independent judge: the domain's rules once more, the slow and obvious way.

Owns a second reading of `domain.md`: what a pair's facts mean at an instant, and which facts a delivery contains.
Refuses to import the write side: it shares the fact types, the ids and the dated figures with it, and no line of a
rule. Every question starts again from the full list of facts; nothing is carried from one to the next.

- `facts.py`       facts with one id become one; the facts of an instant; replies in the order in which they count
- `requests.py`    what became of each request, when its life ends
- `calls.py`       what became of each call
- `grants.py`      the story of grants: each word on the permission and each call in turn
- `doors.py`       may we ask, may we call
- `business.py`    what is known of a business number
- `judge.py`       the standing line of an instant
- `rows.py`        the request, grant and call rows of an instant
- `announcements.py`  what is announced beside changes of the standing
- `deliveries.py`  which facts a webhook of Meta contains
- `reports.py`     which fact an action of the business is
"""

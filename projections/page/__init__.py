"""The analysts' page: server-rendered, drawn by plotly's own script, which we serve ourselves.

Owns what is seen. Refuses to compute a metric (`questions` does) and to name any address outside our own origin.
"""

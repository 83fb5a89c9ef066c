"""The write side: from what came in by HTTP to what holds for a pair."""

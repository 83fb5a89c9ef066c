"""The floor under the shells: a batch producer, a replica of a compacted topic. Knows `schemas` and no other room."""

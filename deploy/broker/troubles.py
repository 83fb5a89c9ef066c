"""Why the local broker cannot run, each told to a person with what to change.

Owns the closed set of errors this room raises. Refuses to recover from any: starting is where they are met.
"""


class BrokerTrouble(Exception):
    """The local broker cannot run; the text says why and what to do."""


class JarsUnavailable(BrokerTrouble):
    """A jar could not be fetched, or is not the one that was recorded."""


class JavaUnavailable(BrokerTrouble):
    """No Java that can run this Kafka."""


class PortTaken(BrokerTrouble):
    """Another program listens where the broker or its controller should."""


class FolderTaken(BrokerTrouble):
    """Another broker runs on the same data."""


class BrokerDied(BrokerTrouble):
    """The broker's process, or the tool that formats its folder, ended by itself."""


class NotReady(BrokerTrouble):
    """The broker runs but did not answer in time."""

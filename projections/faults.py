"""What can go wrong here, told so that the next person knows what to do. Messages never quote stored content."""


class ProjectionFault(Exception):
    """Ends the projection with a message for the operator."""


class EngineMissing(ProjectionFault):
    """The embedded engine is not installed."""


class StoreTaken(ProjectionFault):
    """Another process holds the embedded store."""


class StoreBroken(ProjectionFault):
    """The store cannot be opened or used as configured."""


class MigrationEdited(ProjectionFault):
    """A migration file differs from what was applied."""


class MigrationUnknown(ProjectionFault):
    """The database was migrated by a newer release."""


class MigrationFailed(ProjectionFault):
    """The store refused a statement of a migration."""


class TooManyParked(ProjectionFault):
    """So many records cannot be stored that the writer, not the records, must be at fault."""

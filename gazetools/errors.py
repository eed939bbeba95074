"""Errors that a user can mend: each says what, where, found, expected and the remedy."""


class GazeToolsError(Exception):
    """Base of all errors raised on purpose by gazetools and gradtrack_model."""


class FormatError(GazeToolsError):
    """A file is not what its format promises."""


class SchemaError(GazeToolsError):
    """A table lacks columns, or holds values outside what its schema allows."""


class GeometryError(GazeToolsError):
    """Screen, placement and image cannot be brought together."""


class CacheError(GazeToolsError):
    """An HDF5 cache is damaged, foreign, or of another version."""


class OutputError(GazeToolsError):
    """An output exists already, or cannot be written."""


class ConfigError(GazeToolsError):
    """A setting is unknown or outside its range."""


class TrainingError(GazeToolsError):
    """Training cannot start or go on (no items, a loss that is not a number ...)."""

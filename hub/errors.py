"""Errors, named by what happens next; only these cross a module boundary.

HubError
├── ConfigError                 a person must edit something; never retried
│   ├── MappingSpecError        a mapping file is wrong (path and line in the message)
│   └── UnsupportedError        this adapter cannot do that
├── RemoteError                 the vendor did not do what we asked
│   ├── AuthError               credentials refused: pause the connection, tell once
│   ├── RetryableError          timeout, 429, 5xx, busy: try again later
│   │   └── PacedError          our budget, or a job the vendor works on: nobody failed, not yet
│   ├── CursorExpiredError      the vendor forgot our cursor: start from the beginning
│   └── UnknownOutcomeError     a write may or may not have happened: look it up first
├── RecordError                 one row is unusable; its neighbours go on
│   ├── MappingError            at a path of the row
│   └── RejectedError           the vendor refused this write
│       ├── ConflictError       the vendor holds a newer copy
│       └── GoneError           there is no such record
├── SignatureError              the sender is not proven
└── StoreError                  the database cannot take it now; nothing was written
    ├── ContentionError         other transactions were in the way every time
    └── LeaseLostError          somebody else took the work over
"""

from __future__ import annotations


class HubError(Exception):
    """Base of all: a message for the log, a hint for the administrator; neither carries secrets.

    Attributes:
        code: the vendor's own code, where its answer had one (``hub.sdk.Answers``).
    """

    code: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(HubError):
    """A person must edit something."""


class MappingSpecError(ConfigError):
    """A mapping file is wrong."""


class UnsupportedError(ConfigError):
    """The adapter has no such capability."""


class RemoteError(HubError):
    """The vendor did not do what we asked."""


class AuthError(RemoteError):
    """The vendor refused our credentials."""


class RetryableError(RemoteError):
    """The same call may succeed later.

    Attributes:
        retry_after_s: how long the vendor wants to be left alone.
        maybe_done: what was asked may have been done all the same, as behind a gateway that gave up
            waiting; False when the request did not get so far.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        retry_after_s: float | None = None,
        maybe_done: bool = True,
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s, self.maybe_done = retry_after_s, maybe_done


class PacedError(RetryableError):
    """It is not time yet: our own budget, or a job of ours the vendor is not done with.

    That is no failure of anybody.
    """


class CursorExpiredError(RemoteError):
    """The vendor no longer knows what changed since our cursor; only a full read tells."""


class UnknownOutcomeError(RemoteError):
    """A write was sent and no answer came back; it may have happened."""


class RecordError(HubError):
    """One row is unusable."""


class MappingError(RecordError):
    """One row does not fit its mapping, at ``path``."""

    def __init__(self, message: str, *, path: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class RejectedError(RecordError):
    """The vendor refused this write for good."""


class ConflictError(RejectedError):
    """The vendor holds a newer copy than the one we decided on."""


class GoneError(RejectedError):
    """What was asked for is not there, or not any more."""


class SignatureError(HubError):
    """The sender of a webhook is not proven."""


class StoreError(HubError):
    """The database is locked, full or gone; nothing was written."""


class ContentionError(StoreError):
    """Other transactions were in the way every time; a smaller batch may pass."""


class LeaseLostError(StoreError):
    """Somebody else took the work over; this transaction must not commit."""

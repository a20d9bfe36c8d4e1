"""The base of a desk's page: the card of whoever is talked to there, inside the desk itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hub.errors import UnsupportedError
from hub.sdk.adapter import Adapter
from hub.sdk.types import Raw


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a page asks for. All of it was told by the desk and proves nothing.

    Attributes:
        record: a record of this connection, as ``stream/id``.
        phone: in any writing.
        identifier: ``type:value``.
    """

    record: str = ""
    phone: str = ""
    email: str = ""
    identifier: str = ""


class Panel:
    """The vendor's half of a page: its ``script`` finds out in the browser who is talked to.

    Without one of its own a vendor has this one: its pages ask as ``docs/desks.md`` says.
    """

    framed: ClassVar[bool] = True
    """Whether the desk shows it in a frame; else it is opened by itself in the desk's browser."""

    script: ClassVar[str] = ""
    """A file in the vendor's folder, run on the page as it stands."""

    def __init__(self, made: Callable[[], Adapter[Any]]) -> None:
        self._made = made

    @property
    def adapter(self) -> Any:
        """The connection's; most pages need neither it nor the secrets it is made with."""
        return self._made()

    def loads(self) -> Sequence[str]:
        """Whole addresses of the vendor's scripts that the page loads before ``script``."""
        return ()

    def told(self, url: str) -> Raw:
        """What the script is told, such as a signature of the page's own address.

        Raises:
            RemoteError: the vendor could not be asked.
        """
        return {}

    def sign_in_url(self, back: str, state: str) -> str:
        """Where the vendor tells who its user is; it comes ``back`` with a code and the state."""
        raise UnsupportedError("this desk signs nobody in")

    def member(self, code: str) -> str:
        """Whom the vendor sent with this code, by its own id; "" for nobody of ours."""
        raise UnsupportedError("this desk signs nobody in")

    def narrowed(self, asked: Asked, member: str) -> Asked:
        """What a member without an account here may ask for; by itself nothing."""
        return Asked()

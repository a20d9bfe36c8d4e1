"""A city of small vendors that behave badly on demand, and know what truly happened.

Three servers: ``crm``, ``erp`` and ``desk``, each with an adapter like any other beside it. The
adapters are found while ``REGISTERED`` is on the path; an installation knows nothing of them.
"""

from __future__ import annotations

from pathlib import Path

REGISTERED = Path(__file__).with_name("registered")
"""What pip would write for a package with these adapters in it."""

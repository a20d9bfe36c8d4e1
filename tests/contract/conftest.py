"""Failures of the suite show their values."""

import pytest

pytest.register_assert_rewrite("hub.sdk.testing")

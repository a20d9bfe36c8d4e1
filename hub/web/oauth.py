"""Where a vendor sends the browser of whoever signed in there: the answer is redeemed here."""

from __future__ import annotations

import logging

from flask import Blueprint, Flask, render_template, request

from hub.errors import HubError, StoreError
from hub.registry import Registry, open_vault, signin
from hub.web.auth import OPERATORS, caller, requires
from hub.web.context import hub, registry

log = logging.getLogger(__name__)

blueprint = Blueprint("oauth", __name__)


@blueprint.get(signin.CALLBACK)
@requires(*OPERATORS)
def callback() -> str | tuple[str, int]:
    """The connection is signed in, or why it is not."""
    callback_url = signin.callback_url(hub().settings)
    try:
        name = signin.finish(registry(), request.full_path, callback_url, caller().name)
    except StoreError:
        raise
    except HubError as exc:
        log.warning("sign-in at a vendor failed", extra={"fault": str(exc)})
        return render_template("connected.html", name="", fault=exc), 400
    log.info("signed in at a vendor", extra={"connection": name})
    return render_template("connected.html", name=name, fault=None)


def install(app: Flask) -> None:
    """Add the address."""
    surroundings = app.extensions["hub"]
    vault = open_vault(surroundings.settings)
    app.extensions["conduit-registry"] = Registry(surroundings.database, vault)
    app.register_blueprint(blueprint)

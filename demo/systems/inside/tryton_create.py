# mypy: disable-error-code="import-not-found"
# (what it imports is installed in Tryton's own environment only)
"""Create the demo's Tryton database: modules, company, accounts, fiscal year, one REST key.

Runs in Tryton's own environment: ``python tryton_create.py FOLDER``, with the administrator's
password in ``TRYTON_PASSWORD``. Leaves ``erp.sqlite`` and ``rest_key`` in the folder, which must
hold ``trytond.conf``.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

DATABASE = "erp"
COMPANY = "管联示例商贸有限公司"
MODULES = ("ir", "res", "sale", "account_invoice", "account_invoice_stock", "stock")


def create_tables(config_file: Path, password: str) -> None:
    """Create the database with all modules in one pass.

    The records that come with the modules were checked when Tryton was released; checking each
    again against all others takes as long as everything else here together, so it is left out.
    The database is the same either way; ``trytond-admin --validate`` finds no fault in it.
    """
    from trytond.cli import admin
    from trytond.model import ModelStorage

    (config_file.parent / f"{DATABASE}.sqlite").touch()
    password_file = config_file.parent / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password, encoding="utf-8")
    os.environ["TRYTONPASSFILE"] = str(password_file)
    sys.argv = ["trytond-admin", "-c", str(config_file), "-d", DATABASE]
    sys.argv += ["-u", *MODULES, "--activate-dependencies", "--email", "admin@example.com"]
    checked = ModelStorage.__dict__["_validate"]
    ModelStorage._validate = classmethod(lambda _model, _records, field_names=None: None)
    try:
        admin.main()
    finally:
        ModelStorage._validate = checked
        password_file.unlink()


def set_up_company() -> Any:
    """Give the company its currency, accounts and a fiscal year around today."""
    from proteus import Model
    from trytond.modules.account.tests.tools import create_chart, create_fiscalyear, get_accounts
    from trytond.modules.account_invoice.tests.tools import set_fiscalyear_invoice_sequences
    from trytond.modules.company.tests.tools import create_company, get_company

    owner = Model.get("party.party")(name=COMPANY, code="US")
    owner.save()
    create_company(party=owner, currency="CNY")
    company = get_company()
    create_chart(company)
    year = set_fiscalyear_invoice_sequences(create_fiscalyear(company))
    year.click("create_period")
    return get_accounts(company)


def set_up_sales(accounts: Any) -> None:
    """Create what orders need: a payment term and method, a product category with accounts."""
    from proteus import Model

    term = Model.get("account.invoice.payment_term")(name="月结 30 天")
    line = term.lines.new(type="remainder")
    line.relativedeltas.new(days=30)
    term.save()
    category = Model.get("product.category")(name="商品", accounting=True)
    category.account_expense = accounts["expense"]
    category.account_revenue = accounts["revenue"]
    category.save()
    (journal,) = Model.get("account.journal").find([("type", "=", "cash")], limit=1)
    method = Model.get("account.invoice.payment.method")(name="银行转账", journal=journal)
    method.credit_account = method.debit_account = accounts["cash"]
    method.save()


def make_rest_key() -> str:
    """A validated key of the administrator for the REST interface."""
    from proteus import Model

    (admin,) = Model.get("res.user").find([("login", "=", "admin")])
    application = Model.get("res.user.application")(user=admin, application="rest")
    application.save()
    if application.state != "validated":
        application.click("validate_")
    return str(application.key)


def main() -> None:
    """Create everything and write the REST key beside the database."""
    folder = Path(sys.argv[1])
    config_file = folder / "trytond.conf"
    warnings.simplefilter("ignore")
    os.umask(0o077)  # the key and the database are secrets
    create_tables(config_file, os.environ["TRYTON_PASSWORD"])

    from proteus import config

    config.set_trytond(database=f"sqlite:///{DATABASE}", config_file=str(config_file))
    set_up_sales(set_up_company())
    (folder / "rest_key").write_text(make_rest_key(), encoding="utf-8")


if __name__ == "__main__":
    main()

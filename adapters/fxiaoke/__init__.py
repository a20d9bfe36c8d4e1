"""纷享销客 Fxiaoke (ShareCRM): accounts, contacts, leads, orders, cases; callbacks."""

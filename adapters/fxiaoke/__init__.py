"""纷享销客 Fxiaoke (ShareCRM): callbacks of an app of the older generation."""

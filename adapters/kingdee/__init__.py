"""金蝶云星空 Kingdee K/3 Cloud: how calls are signed."""

"""ServiceNow: incidents and users, sent by a business rule."""

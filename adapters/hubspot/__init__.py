"""HubSpot: events of the CRM's objects."""

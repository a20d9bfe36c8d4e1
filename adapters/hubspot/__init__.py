"""HubSpot: contacts, companies, deals, tickets and notes; their events."""

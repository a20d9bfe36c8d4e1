"""Microsoft Dynamics 365 and Dataverse: what changed in a table."""

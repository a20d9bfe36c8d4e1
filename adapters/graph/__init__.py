"""Microsoft Graph: change notifications."""

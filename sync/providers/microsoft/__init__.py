"""Microsoft 365: Outlook mail over Microsoft Graph."""

"""The sync service: keeps mailboxes and the CRM in step."""

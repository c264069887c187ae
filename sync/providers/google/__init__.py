"""Gmail and Google Workspace."""

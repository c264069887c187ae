"""Microsoft Graph v1.0: mail folders, messages, categories, subscriptions (`providers.md 2`)."""

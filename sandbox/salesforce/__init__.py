"""A local Salesforce org: REST API v59 to v68, OAuth, and the rules behind them (`providers.md` 5, 11.7)."""

"""The store: configuration, the scheduler, the journal of filings; SQLite or PostgreSQL. Begin with `store.Store`."""

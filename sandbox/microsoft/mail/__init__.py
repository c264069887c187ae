"""E-mails as Exchange reads and writes them."""

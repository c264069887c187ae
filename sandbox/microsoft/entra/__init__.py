"""Entra: sign-in, consent and tokens (`providers.md 2.10 7.7 EN`)."""

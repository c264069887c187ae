"""The demo: real mails dropped on labels, read back from the vendors' own APIs. Shows, and proves, the main job."""

"""Local Google, Microsoft and Salesforce for tests and the demo: an independent witness.

Nothing here imports the product, and the product imports nothing from here.
"""

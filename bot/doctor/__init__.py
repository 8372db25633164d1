"""`emf doctor`: everything the channel needs, looked at without side effects."""

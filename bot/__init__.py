"""The application: wiring, the Discord client, the command line."""

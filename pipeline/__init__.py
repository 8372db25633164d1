"""Everything between a trend and a post; nothing here knows of Discord."""

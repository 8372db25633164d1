"""`emf setup`: asks for one setting at a time, checks it at once, and writes `.env`."""

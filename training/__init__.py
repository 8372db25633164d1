"""DreamBooth: trains the network that draws a character. Imports nothing of ours."""

"""The same work done by Potstill and by its peers, side by side."""

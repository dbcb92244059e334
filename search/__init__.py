"""The most accurate student within a budget of time and size."""

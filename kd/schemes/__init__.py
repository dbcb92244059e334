"""Who learns from whom, and when."""

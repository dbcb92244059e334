"""What is handed over, by whom, and when."""

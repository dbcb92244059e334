"""Where losses, scores and reports of a run go."""

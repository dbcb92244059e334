"""Teacher outputs on disk: computed once an example, read by every run that needs them."""

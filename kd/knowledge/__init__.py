"""What is compared: terms, and the parts they are made of."""

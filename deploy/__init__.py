"""What happens after training."""

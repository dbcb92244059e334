"""What a person looks at; made from run folders alone."""

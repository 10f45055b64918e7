"""Speed of each way of computing."""

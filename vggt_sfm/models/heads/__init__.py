"""What is read out of the aggregator's tokens, one head a file."""

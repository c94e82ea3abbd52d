"""What a run leaves and how it is read again: results, captures, comments, judging, shards."""

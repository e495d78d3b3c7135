"""Rules that one exchange or one account of the backend must satisfy."""

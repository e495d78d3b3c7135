"""Server-sent events: their parser, and the position from which a stream resumes."""

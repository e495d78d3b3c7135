"""Reports of a run: text, HTML, JSON and JUnit."""

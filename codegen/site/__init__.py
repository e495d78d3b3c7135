"""The documentation site: its pages from docs/, and those that are derived."""

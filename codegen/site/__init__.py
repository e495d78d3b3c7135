"""Documentation site: the pages of docs/, and derived pages."""

"""Who may see and do what, and what an entity must look like beyond the API. Pure."""

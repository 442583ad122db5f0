"""The access node's database: SQLite or PostgreSQL behind one small interface."""

"""Whether an account still does what was promised of it: its record, what it sees, what it asks for."""

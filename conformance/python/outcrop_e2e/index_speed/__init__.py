"""How fast the embedded index searches and how much it finds, next to others on the same vectors."""

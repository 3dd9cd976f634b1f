"""What the end-to-end tests share: processes, clients, and checks on the bytes they receive."""

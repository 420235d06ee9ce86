"""What people see of the pool: pages, live numbers, history."""

"""Where the recorder tells what it writes, besides the store. No sink ever holds it up."""

"""The day of a studio: who posts what when, played by the production plan, written as history."""

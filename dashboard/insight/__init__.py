"""What a page says of one job or one workflow, made of what the store keeps: mostly pure."""

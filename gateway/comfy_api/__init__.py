"""ComfyUI's HTTP routes, one file per concern."""

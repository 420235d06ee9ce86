"""A ComfyUI stand-in that speaks the recorded protocol."""

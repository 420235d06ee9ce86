"""The edge that clients talk to: ComfyUI's protocol, one user at a time."""

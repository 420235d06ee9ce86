"""How several ComfyUI workers share one GPU, and what a mix of jobs makes of it."""

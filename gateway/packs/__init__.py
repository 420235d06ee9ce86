"""Routes of node packs: which of them a client may use, and on whose worker they act."""

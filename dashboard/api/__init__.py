"""The dashboard's JSON over what is kept: one file for each resource."""

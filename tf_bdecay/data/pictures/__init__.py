"""Pictures of any size in files: read where they lie, in any layout that people have."""

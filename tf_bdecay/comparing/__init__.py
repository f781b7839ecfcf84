"""`tf-bdecay compare`: runs side by side, in one picture and one table."""

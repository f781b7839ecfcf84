"""What a run would cost, on paper: nothing is executed."""

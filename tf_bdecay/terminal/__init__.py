"""What every command shares: flags, tables as text, streams and signals, how it ends."""

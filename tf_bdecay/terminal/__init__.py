"""What all commands share: flags, tables as text, progress, pictures, streams, signals, endings."""

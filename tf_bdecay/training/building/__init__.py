"""From a checked config to data, network, loss, optimizer and first weights; nothing runs yet."""

"""Open Sound Control: packets, patterns, time tags, subscribers, and the server over UDP and TCP."""

"""The demo song: its score and the synthesisers that play it, in numpy and scipy alone."""

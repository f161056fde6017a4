"""One page about the segments: what a replay wrote or what is live, as figures, drawn as HTML."""

package graph

// attendingOps are the attention operators of other tools.
var attendingOps = []Op{}

package graph

// recurrentOps are the operators of recurrent networks.
var recurrentOps = []Op{}

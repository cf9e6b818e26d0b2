package graph

// poolOps are the operators of pools over windows.
var poolOps = []Op{}

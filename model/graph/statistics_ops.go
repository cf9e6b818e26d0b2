package graph

// statisticsOps are the operators of normalizations, reductions and losses that graphs of networks do not have.
var statisticsOps = []Op{}

package graph

// rankingOps are the operators of order and selection: the largest, the unique, boxes.
var rankingOps = []Op{}

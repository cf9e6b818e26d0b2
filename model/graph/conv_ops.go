package graph

// convOps are the operators of convolutions and their transposes.
var convOps = []Op{}

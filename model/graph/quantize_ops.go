package graph

// quantizeOps are the operators of numbers as integers of a scale, and products of these.
var quantizeOps = []Op{}

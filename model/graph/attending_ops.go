package graph

// attendingOps are the operators of attention in the forms that others write.
var attendingOps = []Op{}

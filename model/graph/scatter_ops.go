package graph

// scatterOps are the operators of places that data decide: scattering, gathering, sequences.
var scatterOps = []Op{}

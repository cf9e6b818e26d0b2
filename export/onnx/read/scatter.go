package read

// scatterFamily is places that data decide: scattering, gathering, sequences.
var scatterFamily = family{}

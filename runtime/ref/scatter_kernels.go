package ref

// scatterKernels compute places that data decide: scattering, gathering, sequences.
var scatterKernels = []kernel{}

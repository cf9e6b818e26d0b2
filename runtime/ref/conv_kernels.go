package ref

// convKernels compute convolutions and their transposes.
var convKernels = []kernel{}

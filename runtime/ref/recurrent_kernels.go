package ref

// recurrentKernels compute recurrent networks.
var recurrentKernels = []kernel{}

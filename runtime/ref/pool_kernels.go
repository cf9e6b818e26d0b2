package ref

// poolKernels compute pools over windows.
var poolKernels = []kernel{}

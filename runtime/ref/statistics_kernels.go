package ref

// statisticsKernels compute normalizations, reductions and losses that graphs of networks do not have.
var statisticsKernels = []kernel{}

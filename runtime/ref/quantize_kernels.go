package ref

// quantizeKernels compute numbers as integers of a scale, and products of these.
var quantizeKernels = []kernel{}

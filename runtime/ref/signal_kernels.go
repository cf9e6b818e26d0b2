package ref

// signalKernels compute windows, transforms and other functions of signals.
var signalKernels = []kernel{}

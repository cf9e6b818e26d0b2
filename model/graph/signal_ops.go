package graph

// signalOps are the operators of windows, transforms and other functions of signals.
var signalOps = []Op{}

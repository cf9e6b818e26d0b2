package read

// signalFamily is windows, transforms and other functions of signals.
var signalFamily = family{}

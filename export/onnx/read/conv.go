package read

// convFamily is convolutions and their transposes.
var convFamily = family{}

package read

// quantizeFamily is numbers as integers of a scale, and products of these.
var quantizeFamily = family{}

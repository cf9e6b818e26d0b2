package read

// recurrentFamily is recurrent networks.
var recurrentFamily = family{}

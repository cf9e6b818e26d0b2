package read

// statisticsFamily is normalizations, reductions and losses that graphs of networks do not have.
var statisticsFamily = family{}

package read

// poolFamily is pools over windows.
var poolFamily = family{}

package read

// attendingFamily is attention in the forms that others write.
var attendingFamily = family{}

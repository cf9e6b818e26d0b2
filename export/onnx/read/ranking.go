package read

// rankingFamily is order and selection: the largest, the unique, boxes.
var rankingFamily = family{}

package read

// imageFamily is images: resizing, sampling, padding, regions.
var imageFamily = family{}

package graph

// imageOps are the operators of images: resizing, sampling, padding, regions.
var imageOps = []Op{}

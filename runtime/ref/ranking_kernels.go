package ref

// rankingKernels compute order and selection: the largest, the unique, boxes.
var rankingKernels = []kernel{}

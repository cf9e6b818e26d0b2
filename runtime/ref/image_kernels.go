package ref

// imageKernels compute images: resizing, sampling, padding, regions.
var imageKernels = []kernel{}

package ref

// attendingKernels compute attention in the forms that others write.
var attendingKernels = []kernel{}
